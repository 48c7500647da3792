"""The number plans of all countries: which numbers are possible, whose they are, how DIDs are compared."""
