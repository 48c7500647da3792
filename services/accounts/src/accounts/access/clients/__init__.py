"""Clients at their own page: signed links, and the sessions that they open."""
