"""Sessions of operators: how they log in, and when a session ends."""
