"""Sending: one mail at a time over SMTP, each at most once."""
