"""New secrets of tokens, sessions and login links."""

import secrets


def new_secret(kind: str = "") -> str:
    """A new secret of 256 random bits. Its prefix lets scanners of repositories recognize it."""
    return f"rf_{kind}{secrets.token_urlsafe(32)}"
