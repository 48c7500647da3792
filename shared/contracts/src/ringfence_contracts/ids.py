"""Deterministic ids: the same cause always gives the same id, so processing is idempotent. Pure."""

from collections.abc import Callable
from hashlib import sha1
from typing import AnyStr
from uuid import UUID

NAMESPACE = UUID("5f0c1d52-6f0e-5b6e-9a53-0b9a4f6f7a11")
"""The namespace of every id. It never changes: ledgers hold ids that were derived from it."""

_NAMESPACE_BYTES = NAMESPACE.bytes
_BETWEEN = "\x1f"
_CLEARED = ~(0xF000 << 64 | 0xC000 << 48)
_VERSION_5 = 5 << 76 | 0x8000 << 48


_make: Callable[..., UUID]
try:
    # The class in which asyncpg returns ids: equal to uuid.UUID, and quicker to make, to hash and
    # to write.
    from asyncpg.pgproto.pgproto import UUID as DatabaseUUID

    _make = DatabaseUUID
except ImportError:  # a reader of topics needs no database driver

    def _standard_uuid(written: str | bytes) -> UUID:
        return UUID(bytes=written) if isinstance(written, bytes) else UUID(written)

    _make = _standard_uuid


def derive(kind: str, *cause: object) -> UUID:
    """The id of the effect of this `kind` that `cause` has.

    Parts are joined by a character that no part can contain, so `("a", "bc")` and `("ab", "c")`
    differ. The result is uuid5 of NAMESPACE and the joined text (RFC 9562).
    """
    return _uuid5(_NAMESPACE_BYTES + _BETWEEN.join((kind, *map(str, cause))).encode())


def deriver(kind: str) -> Callable[..., UUID]:
    """A faster `derive` for one kind, whose cause has one part or more, all of them texts."""
    head = _NAMESPACE_BYTES + kind.encode() + _BETWEEN.encode()

    def derive_of(*cause: str) -> UUID:
        return _uuid5(head + _BETWEEN.join(cause).encode())

    return derive_of


def _uuid5(name: bytes) -> UUID:
    digest = sha1(name, usedforsecurity=False).digest()
    number = int.from_bytes(digest[:16], "big") & _CLEARED | _VERSION_5
    return as_id(number.to_bytes(16, "big"))


def as_id(written: AnyStr) -> UUID:
    """The id from its text or its 16 bytes. Raises ValueError for anything else."""
    return _make(written)


def call_id(server_id: str, source_call_id: str) -> UUID:
    """The id of a call: the same for pull and push, and for each time that it is received."""
    return derive("call", server_id, source_call_id)


charge_id = deriver("charge")
"""The id of the ledger entry of a call's first charge, from its call id as text."""
