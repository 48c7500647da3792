"""/v1/clients: profiles, debts, orders, the mode, and why a client is on or off."""
