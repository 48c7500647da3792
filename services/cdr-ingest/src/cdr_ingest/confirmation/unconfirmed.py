"""A row that waits because its source does not confirm it: its id, its words, its event. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from cdr_ingest.sources.fields import free_text
from cdr_ingest.sources.source import UnprovenRow
from ringfence_contracts.events.call import CallCompleted, CallUnconfirmed
from ringfence_contracts.events.model import MAX_BILLSEC
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import CALL_UNCONFIRMED

UnconfirmedReason = Literal["not-confirmed", "unreadable"]

_PAUSES_S: Sequence[int] = (20, 60, 300, 1800, 7200, 21_600)
_DAILY_S = 86_400
_MOST_ATTEMPTS = 36
"""After a day of growing pauses, once a day for a month. An operator can request more."""


MAX_ROW = 16_000
"""Characters of a row that are kept, to ask for it again."""


@dataclass(frozen=True)
class UnconfirmedRow:
    """A row that waits. `lane` is the feed that listed it, the rest is what the row claims."""

    row_id: UUID
    server_id: str
    lane: str
    tenant: str
    source_call_id: str
    reason: UnconfirmedReason
    detail: str
    billsec: int
    started_at: datetime
    row_text: str
    seen_at: datetime
    attempts: int = 1


def row_id(row: UnprovenRow) -> UUID:
    """The id under which a row waits: by the call that it claims, else by its bytes."""
    return derive("unconfirmed-row", row.server_id, row.source_call_id or row.raw)


def waiting_row(
    row: UnprovenRow, feed: str, reason: UnconfirmedReason, detail: str, billsec: int, now: datetime
) -> UnconfirmedRow:
    """The row as it waits from `now` on; `billsec` is used where it cannot be read."""
    reading = row.reading
    call = reading if isinstance(reading, CallCompleted) else None
    return UnconfirmedRow(
        row_id=row_id(row),
        server_id=row.server_id,
        lane=feed,
        tenant=free_text(row.tenant),
        source_call_id=row.source_call_id,
        reason=reason,
        detail=free_text(detail),
        billsec=min(call.billsec if call else billsec, MAX_BILLSEC),
        started_at=call.started_at if call else now,
        row_text=free_text(row.raw.decode("utf-8", "replace").rstrip("\r\n"), MAX_ROW),
        seen_at=now,
    )


def next_attempt(attempts: int, now: datetime) -> datetime | None:
    """When a row is asked for again after so many attempts; None: not by itself."""
    if attempts >= _MOST_ATTEMPTS:
        return None
    pause_s = _PAUSES_S[attempts - 1] if attempts <= len(_PAUSES_S) else _DAILY_S
    return now + timedelta(seconds=pause_s)


def call_unconfirmed(
    row: UnconfirmedRow, asked_at: datetime, call_id: UUID | None = None
) -> Outgoing:
    """`call.unconfirmed.v1`, one event for each attempt; with `call_id`, the row is confirmed."""
    event = CallUnconfirmed(
        row_id=row.row_id,
        server_id=row.server_id,
        tenant=row.tenant,
        state="waiting" if call_id is None else "confirmed",
        reason=row.reason,
        detail=row.detail,
        source_call_id=row.source_call_id,
        billsec=row.billsec,
        started_at=row.started_at,
        seen_at=row.seen_at,
        asked_at=asked_at,
        call_id=call_id,
        row=free_text(row.row_text),
    )
    return Outgoing(
        topic=CALL_UNCONFIRMED,
        key=f"{row.server_id}:{row.tenant}",
        value=event.to_json(),
        event_id=derive("call.unconfirmed", row.row_id, event.state, row.attempts),
        time=asked_at,
        source="cdr-ingest",
        correlation_id=str(row.row_id),
    )
