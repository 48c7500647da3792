"""Kafka at the edge: records, the publisher, and the two shells that run handlers."""
