"""What all sources share: the types of records, and the parsing of their fields."""
