"""Compares the calls that a source lists with those that were ingested from it."""
