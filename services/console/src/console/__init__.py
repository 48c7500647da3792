"""The operator's web pages: they read and act through the API of accounts, with his own token."""
