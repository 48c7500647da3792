"""The API of accounts, as the pages use it."""
