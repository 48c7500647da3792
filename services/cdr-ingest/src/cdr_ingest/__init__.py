"""Fetches and receives call records and publishes each completed call once."""
