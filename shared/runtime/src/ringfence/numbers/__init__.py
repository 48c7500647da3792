"""All number plans: which numbers are possible, whose they are, how DIDs are compared."""
