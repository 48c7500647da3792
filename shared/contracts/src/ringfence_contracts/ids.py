"""Deterministic ids: the same cause always gives the same id, so a replay changes nothing. Pure."""

from collections.abc import Callable
from hashlib import sha1
from typing import AnyStr
from uuid import UUID

from asyncpg.pgproto.pgproto import UUID as DatabaseUUID

NAMESPACE = UUID("5f0c1d52-6f0e-5b6e-9a53-0b9a4f6f7a11")
"""The root of all of ringfence's ids. It never changes: ids made from it stand in ledgers."""

_NAMESPACE_BYTES = NAMESPACE.bytes
_BETWEEN = "\x1f"
_CLEARED = ~(0xF000 << 64 | 0xC000 << 48)
_VERSION_5 = 5 << 76 | 0x8000 << 48


def derive(kind: str, *cause: object) -> UUID:
    """The id of the `kind` of thing that `cause` brought about.

    Parts are joined by a character that no part can contain, so `("a", "bc")` and `("ab", "c")`
    differ. The result is uuid5 of NAMESPACE and the joined text (RFC 9562), of the class in which
    ids come from the database too: equal to uuid.UUID, and quicker to make, to hash and to write.
    """
    return _uuid5(_NAMESPACE_BYTES + _BETWEEN.join((kind, *map(str, cause))).encode())


def deriver(kind: str) -> Callable[..., UUID]:
    """`derive` for one kind, whose causes are one part or more, all texts: for volume."""
    head = _NAMESPACE_BYTES + kind.encode() + _BETWEEN.encode()

    def derive_of(*cause: str) -> UUID:
        return _uuid5(head + _BETWEEN.join(cause).encode())

    return derive_of


def _uuid5(name: bytes) -> UUID:
    digest = sha1(name, usedforsecurity=False).digest()
    number = int.from_bytes(digest[:16], "big") & _CLEARED | _VERSION_5
    return as_id(number.to_bytes(16, "big"))


def as_id(written: AnyStr) -> UUID:
    """An id from its text or its 16 bytes. Raises ValueError for what is none."""
    made: UUID = DatabaseUUID(written)
    return made


def call_id(server_id: str, source_call_id: str) -> UUID:
    """The id of a call, whichever way it reaches us: by pull, by push, once or many times."""
    return derive("call", server_id, source_call_id)
