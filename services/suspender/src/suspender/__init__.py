"""Suspends and restores services on the PBX."""
