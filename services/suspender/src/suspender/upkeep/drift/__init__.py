"""Drift: elements that we switched off and that are on. They are found and switched off again."""
