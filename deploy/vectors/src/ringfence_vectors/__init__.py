"""Conformance vectors that need the decisions of several services. Nothing imports this package."""
