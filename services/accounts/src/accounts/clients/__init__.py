"""Clients: profiles, orders, the two suspension fields, their texts, list and audit."""
