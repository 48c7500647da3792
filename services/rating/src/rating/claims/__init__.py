"""The claim check: payments are posted only if accounts holds them (docs/adr/0024)."""
