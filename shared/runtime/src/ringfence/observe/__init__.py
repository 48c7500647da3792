"""Seeing what a service does: logs, metrics, health."""
