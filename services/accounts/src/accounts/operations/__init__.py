"""Requests of operators to the services: recorded and published."""
