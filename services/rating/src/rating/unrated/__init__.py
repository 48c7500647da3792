"""Calls that could not be rated: their queue, and further attempts."""
