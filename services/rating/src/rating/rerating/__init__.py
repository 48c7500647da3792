"""A period's calls priced again with another tariff version."""
