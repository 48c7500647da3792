"""Mails clients about their balance and service, and the operator about alarms, each once."""
