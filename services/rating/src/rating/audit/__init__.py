"""Checks of the ledger's invariants, and the counts of money that operators watch."""
