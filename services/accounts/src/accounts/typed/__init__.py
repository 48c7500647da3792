"""What people type, and how it is read: decimals, instants, the first digits of ids."""
