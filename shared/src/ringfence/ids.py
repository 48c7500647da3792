"""Deterministic ids: the same cause always gives the same id, so a replay changes nothing."""

from uuid import UUID, uuid5

NAMESPACE = UUID("5f0c1d52-6f0e-5b6e-9a53-0b9a4f6f7a11")
"""The root of all of ringfence's ids. It never changes: ids made from it stand in ledgers."""


def derive(kind: str, *cause: object) -> UUID:
    """The id of the `kind` of thing that `cause` brought about.

    Parts are joined by a character that no part can contain, so `("a", "bc")` and `("ab", "c")`
    differ.
    """
    return uuid5(NAMESPACE, "\x1f".join((kind, *map(str, cause))))


def call_id(server_id: str, source_call_id: str) -> UUID:
    """The id of a call, whichever way it reaches us: by pull, by push, once or many times."""
    return derive("call", server_id, source_call_id)
