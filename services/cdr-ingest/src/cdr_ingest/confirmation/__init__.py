"""Rows that a source lists are believed only when the source confirms them (docs/adr/0037)."""
