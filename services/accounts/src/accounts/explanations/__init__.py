"""Explanations: what became of a call and how it was priced, and how a balance came about."""
