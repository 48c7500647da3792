"""A call's price and an account's balance, explained to people."""
