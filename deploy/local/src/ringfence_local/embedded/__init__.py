"""Kafka and PostgreSQL as child processes, without a container engine."""
