"""Checks of the ledger's invariants, and the metrics of money."""
