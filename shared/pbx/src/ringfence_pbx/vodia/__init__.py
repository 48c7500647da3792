"""Vodia PBX: its login and its REST API."""
