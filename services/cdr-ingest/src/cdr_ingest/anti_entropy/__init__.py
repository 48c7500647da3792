"""Publishes again the accepted calls that rating never received (ADR 39)."""
