"""Publishes again the confirmed states of services that accounts never received (ADR 39)."""
