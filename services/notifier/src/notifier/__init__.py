"""Tells clients by e-mail, each thing once."""
