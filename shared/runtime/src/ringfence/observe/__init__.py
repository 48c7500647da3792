"""Observability of a service: logs, metrics, health."""
