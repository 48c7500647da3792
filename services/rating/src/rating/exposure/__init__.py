"""Alarms about talk time: calls that are too long to be true, and calls that wait unrated."""
