"""Alarms of all services, and the mails that report them to the operator."""
