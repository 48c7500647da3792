"""Limits of what listens: connections, time until a request's header is read, open files."""
