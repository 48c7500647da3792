"""Clients: their two suspension fields, the words about them, their list and their audit."""
