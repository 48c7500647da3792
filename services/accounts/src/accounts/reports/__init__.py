"""Reports: balances, ledgers, calls, services, the unrated queue. Read only."""
