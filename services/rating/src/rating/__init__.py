"""Rates calls and keeps the ledger."""
