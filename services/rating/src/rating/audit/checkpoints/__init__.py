"""Verification of the ledger from checkpoints (docs/adr/0042)."""
