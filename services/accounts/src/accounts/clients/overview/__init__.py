"""Clients as operators list them: balance, state, history, elements. Read only."""
