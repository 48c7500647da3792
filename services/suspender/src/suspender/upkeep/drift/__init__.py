"""Drift: what we switched off and is on all the same. It is found and switched off again."""
