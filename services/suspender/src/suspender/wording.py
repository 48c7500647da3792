"""Texts for people and for the database: pure."""

from collections.abc import Iterable


def listed(names: Iterable[str], limit: int = 300) -> str:
    """The names separated by commas, cut to `limit` characters."""
    text = ", ".join(names)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def storable(text: str, limit: int) -> str:
    """A text of a server as PostgreSQL can store it: no NUL, no lone surrogate, `limit` at most."""
    return text[:limit].replace("\x00", "\ufffd").encode(errors="replace").decode()
