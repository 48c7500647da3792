"""Legs that left by a carrier on behalf of another call: whether each is charged, and when."""
