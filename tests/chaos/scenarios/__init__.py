"""The scenarios: each sends calls while one kind of fault happens."""
