"""Watches balances for crossings of their thresholds."""
