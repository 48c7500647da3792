"""What every source yields: calls, b legs, and rows that cannot be read."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id, derive

ALL_TENANTS = "*"
"""The name of the feed that reads all tenants of a server at once."""


@dataclass(frozen=True)
class BLeg:
    """A leg of another call: the same call seen from its other side. Saved, not billed.

    `origin` is the source's id of the leg that it names, empty if it names none. `call` is the leg
    as a call of its own if it left by a carrier and talked: then it may be charged (ADR 48).
    """

    server_id: str
    tenant: str
    source_call_id: str
    origin: str = ""
    call: CallCompleted | None = None

    @property
    def origin_id(self) -> UUID | None:
        """The id of the record that it names."""
        return call_id(self.server_id, self.origin) if self.origin else None


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read, for the dead-letter topic.

    `reason` names the field, its value and what was expected. `tenant` is the feed's name where
    the row has no tenant. Every poll that covers the row yields it again, with the same bytes.
    """

    server_id: str
    tenant: str
    raw: bytes
    line_number: int
    reason: str


SourceRecord = CallCompleted | BLeg | BadRow


@dataclass(frozen=True)
class UnprovenRow:
    """A row that a source lists and that must be confirmed before it is believed (ADR 37).

    `reading` is what the row seems to be, `source_call_id` the call that it claims, empty if it
    cannot be read. `names` are the columns of its list.
    """

    reading: SourceRecord
    raw: bytes
    source_call_id: str
    names: tuple[str, ...] = ()

    @property
    def server_id(self) -> str:
        """The server that listed the row."""
        return self.reading.server_id

    @property
    def tenant(self) -> str:
        """The tenant that the row claims."""
        return self.reading.tenant


ListedRecord = SourceRecord | UnprovenRow
"""What a source yields: records that are believed, and rows that are not yet."""


def record_id(record: SourceRecord) -> UUID:
    """The id under which a record is saved: the call's id; a bad row's from its bytes."""
    if isinstance(record, CallCompleted):
        return record.call_id
    if isinstance(record, BLeg):
        return call_id(record.server_id, record.source_call_id)
    return derive("bad-row", record.server_id, record.tenant, record.raw)


class Source(Protocol):
    """A server that lists calls by the time of their start."""

    @property
    def server_id(self) -> str:
        """The server's id in the servers file."""
        ...

    def records(
        self, feed: str, start_epoch: int, stop_epoch: int, least_s: int = 0
    ) -> AsyncGenerator[ListedRecord, None]:
        """The records of all calls that started within the window, in the source's order.

        `feed` is a tenant, or `ALL_TENANTS`; both ends of the window are Unix seconds, inclusive.
        Calls that are shorter than `least_s` may be left out.
        Raises Retry when the server fails, and Refused when it rejects the request; the records
        yielded before are valid, and the window must be read again. Use it within
        `contextlib.aclosing`: it holds a connection until it is closed.
        """
        ...
