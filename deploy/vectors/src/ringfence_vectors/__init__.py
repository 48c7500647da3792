"""Conformance vectors that need the decisions of several services: nothing imports this package."""
