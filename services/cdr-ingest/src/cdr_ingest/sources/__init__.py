"""What all sources share: the record that they give, and reading its fields."""
