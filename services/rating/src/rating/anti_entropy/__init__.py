"""Publishes again the balances that balance-watch never received (ADR 39)."""
