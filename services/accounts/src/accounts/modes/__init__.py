"""Waves: who goes live, or back into shadow, next, and what that does."""
