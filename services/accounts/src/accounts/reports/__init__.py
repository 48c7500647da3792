"""Questions about calls, ledger and outstanding money: read only."""
