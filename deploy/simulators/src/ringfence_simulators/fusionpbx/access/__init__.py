"""Logins, sessions, form tokens and rights."""
