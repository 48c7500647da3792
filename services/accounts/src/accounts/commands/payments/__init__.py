"""Commands about money: top-ups, payments, refunds, claims, the ledger."""
