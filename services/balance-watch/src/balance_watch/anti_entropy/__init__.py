"""Publishes again the crossings that the suspender or the notifier never received (ADR 39)."""
