"""What every source gives: calls, b legs, and rows that can not be read."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id, derive

ALL_TENANTS = "*"
"""The lane that reads all of a server's tenants at once."""


@dataclass(frozen=True)
class BLeg:
    """A row of leg `b`: the same call seen from its other side. Counted, never billed."""

    server_id: str
    tenant: str
    source_call_id: str


@dataclass(frozen=True)
class BadRow:
    """A row that can not be read, to be parked with its reason (field, value, what was expected).

    `tenant` is the lane's where the row does not say. The same row comes back with every poll that
    reaches it, byte for byte.
    """

    server_id: str
    tenant: str
    raw: bytes
    line_number: int
    reason: str


SourceRecord = CallCompleted | BLeg | BadRow


def record_id(record: SourceRecord) -> UUID:
    """The id under which a record is known: a call's own; a bad row's by its bytes."""
    if isinstance(record, CallCompleted):
        return record.call_id
    if isinstance(record, BLeg):
        return call_id(record.server_id, record.source_call_id)
    return derive("bad-row", record.server_id, record.tenant, record.raw)


class Source(Protocol):
    """A server whose calls can be asked for by the time of their start."""

    @property
    def server_id(self) -> str:
        """The server's id in the servers file."""
        ...

    def records(
        self, lane: str, start_epoch: int, stop_epoch: int
    ) -> AsyncGenerator[SourceRecord, None]:
        """All records of calls that started within the window, both ends inclusive, as they come.

        `lane` is a tenant, or `ALL_TENANTS`. Errors: Retry when the server is unwell, Refused when
        it says no; what was given before stands, and the window is to be read again. Use it within
        `contextlib.aclosing`: it holds a connection until it is closed.
        """
        ...
