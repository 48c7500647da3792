"""Examinations of servers and platform, which cdr-ingest makes as jobs."""
