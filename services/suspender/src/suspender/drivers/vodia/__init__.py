"""Vodia: trunks and extensions, switched by its REST API."""
