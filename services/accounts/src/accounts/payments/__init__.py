"""Payments: top-ups, adjustments, refunds, opening balances, and claims after a restore."""
