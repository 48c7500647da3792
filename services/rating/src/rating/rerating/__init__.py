"""Prices a period's calls again with another tariff version."""
