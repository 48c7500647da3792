"""The calls that a source lists, counted against those that came from it."""
