"""What becomes of records that fail: dead letters, the reject limit, and records that crash."""
