"""Tariffs: rate decks as CSV, their versions, and their routes."""
