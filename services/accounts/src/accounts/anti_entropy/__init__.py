"""Publishes again the payments, clients and tariffs that a reader never received (ADR 39)."""
