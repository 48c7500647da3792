"""Takes records in: publishes what is new, parks what can not be read, then notes both.

The note comes last: whoever is killed in between publishes the same ids again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from uuid import UUID

import structlog

from cdr_ingest.metrics import RECORDS
from cdr_ingest.sources.source import BadRow, BLeg, SourceRecord, record_id
from cdr_ingest.store import IngestStore, RecordRow
from ringfence.kafka.publisher import Publisher
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import CALL_COMPLETED

_REMEMBERED = 200_000
log = structlog.get_logger()


class Ingester:
    """The one way from any source to `call.completed.v1`."""

    def __init__(self, *, store: IngestStore, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher
        self._recent: OrderedDict[UUID, None] = OrderedDict()
        self._taking: dict[UUID, asyncio.Future[None]] = {}

    async def take(self, records: Sequence[SourceRecord]) -> int:
        """Accept records; how many were new. When this returns, all of them are safe.

        What another source is bringing at this moment is waited for: by push and by pull at once,
        a call is still published once.
        """
        unseen = self._unseen(records)
        while under_way := {self._taking[key] for key in unseen if key in self._taking}:
            await asyncio.wait(under_way)
            unseen = self._unseen(records)
        if not unseen:
            return 0
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._taking.update(dict.fromkeys(unseen, done))
        try:
            return await self._take(unseen)
        finally:
            for key in unseen:
                del self._taking[key]
            done.set_result(None)

    def _unseen(self, records: Sequence[SourceRecord]) -> dict[UUID, SourceRecord]:
        by_id = {record_id(record): record for record in records}
        return {key: record for key, record in by_id.items() if key not in self._recent}

    async def _take(self, unseen: dict[UUID, SourceRecord]) -> int:
        known = await self._store.accepted(list(unseen))
        fresh = {key: record for key, record in unseen.items() if key not in known}
        calls = [r for r in fresh.values() if isinstance(r, CallCompleted)]
        bad = [r for r in fresh.values() if isinstance(r, BadRow)]
        await self._publisher.park_source_rows(
            (f"{row.server_id}:{row.tenant}", row.raw, row.reason) for row in bad
        )
        await self._publisher.publish([completed(call) for call in calls])
        await self._store.accept([_row(key, record) for key, record in fresh.items()])
        self._remember(list(unseen))
        self._note(fresh.values(), bad)  # type: ignore[arg-type]
        return len(fresh)

    def _remember(self, ids: Sequence[UUID]) -> None:
        self._recent.update(dict.fromkeys(ids))
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    def _note(self, fresh: Sequence[SourceRecord], bad: Sequence[BadRow]) -> None:
        for record in fresh:
            RECORDS.labels(record.server_id, _disposition(record)).inc()
        for row in bad:
            log.warning(
                "row parked",
                server_id=row.server_id,
                tenant=row.tenant,
                line=row.line_number,
                reason=row.reason,
            )


def completed(call: CallCompleted) -> Outgoing:
    """`call.completed.v1`; its id is the call's, whichever way the call came."""
    return Outgoing(
        topic=CALL_COMPLETED,
        key=f"{call.server_id}:{call.tenant}",
        value=call.to_json(),
        event_id=call.call_id,
        time=call.ended_at,
        source="cdr-ingest",
        correlation_id=str(call.call_id),
    )


def _disposition(record: SourceRecord) -> str:
    if isinstance(record, CallCompleted):
        return "published"
    return "b-leg" if isinstance(record, BLeg) else "dead"


def _row(key: UUID, record: SourceRecord) -> RecordRow:
    call = record if isinstance(record, CallCompleted) else None
    return RecordRow(
        record_id=key,
        server_id=record.server_id,
        tenant=record.tenant,
        source=call.source if call else "",
        disposition=_disposition(record),
        reason=record.reason[:500] if isinstance(record, BadRow) else "",
        started_at=call.started_at if call else None,
    )
