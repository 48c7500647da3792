"""Polls sources: which windows to ask for, how often, and what to do when a source fails."""
