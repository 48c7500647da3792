"""What is owed to whom: rows that name a mail, and whether it is still true."""
