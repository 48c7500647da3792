"""A client's own routes, /v1/me: what it may see of itself, and change about its mails."""
