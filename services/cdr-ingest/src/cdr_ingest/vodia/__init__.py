"""Calls of a Vodia PBX, listed by its REST interface or posted by the PBX."""
