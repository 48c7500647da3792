"""Commands about money: top-ups, payments, the ledger."""
