"""Ingests records: publishes new calls, sends unreadable records to the dead-letter topic.

For each batch, in this order:

1. Records that were accepted before are dropped; a post that says something else than the accepted
   one is a dead letter.
2. Legs that left by a carrier are decided if the call that they name is known (ADR 48).
3. Dead letters and calls are published. A kill after this publishes the same event ids again.
4. The records are saved as accepted. The caller then moves its cursor or answers the post; a kill
   before that repeats the batch, and step 1 drops it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import structlog

from cdr_ingest.altered_posts import altered_post, facts_of, posted_call
from cdr_ingest.legs.batch import LegOutcome, look_at, new_leg
from cdr_ingest.legs.store import LegStore
from cdr_ingest.metrics import LEGS, RECORDS
from cdr_ingest.sources.source import BadRow, BLeg, SourceRecord, record_id
from cdr_ingest.store import IngestStore, RecordRow
from ringfence.clock import Clock, SystemClock
from ringfence.kafka.publisher import Publisher
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import CALL_COMPLETED

_REMEMBERED = 200_000
log = structlog.get_logger()


class Ingester:
    """The single path from every source to `call.completed.v1`."""

    def __init__(
        self, *, store: IngestStore, publisher: Publisher, clock: Clock | None = None
    ) -> None:
        self._store = store
        self._legs = LegStore(store.pool)
        self._publisher = publisher
        self._clock = clock or SystemClock()
        self._recent: OrderedDict[UUID, int] = OrderedDict()
        """The accepted records, each with the hash of what it says, if it was posted."""
        self._in_progress: dict[UUID, asyncio.Future[None]] = {}

    async def ingest(self, records: Sequence[SourceRecord]) -> int:
        """Ingest records; returns how many were new. When it returns, all of them are safe.

        A record that another caller is ingesting at the same time is waited for, so a call that
        is polled and posted at once is published once.
        """
        unseen, altered = self._unseen(records)
        while in_progress := {self._in_progress[key] for key in unseen if key in self._in_progress}:
            await asyncio.wait(in_progress)
            unseen, altered = self._unseen(records)
        if not unseen and not altered:
            return 0
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._in_progress.update(dict.fromkeys(unseen, done))
        try:
            return await self._ingest(unseen, altered)
        finally:
            for key in unseen:
                del self._in_progress[key]
            done.set_result(None)

    async def known_ids(self, record_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the ids whose records were ingested before."""
        recent = {key for key in record_ids if key in self._recent}
        others = [key for key in record_ids if key not in recent]
        return recent | (await self._store.accepted_ids(others) if others else set())

    def _unseen(
        self, records: Sequence[SourceRecord]
    ) -> tuple[dict[UUID, SourceRecord], list[SourceRecord]]:
        """The records that are not known yet, by id, and those that say something else than one
        that is known or came before.
        """
        unseen: dict[UUID, SourceRecord] = {}
        altered = []
        for record in records:
            key = record_id(record)
            before = self._recent.get(key)
            if before is None and key not in unseen:
                unseen[key] = record
                continue
            if before is None:
                before = _hash_of(unseen[key])
            if _hash_of(record) not in (before, 0):
                altered.append(record)
        return unseen, altered

    async def _ingest(
        self, unseen: dict[UUID, SourceRecord], altered: Sequence[SourceRecord]
    ) -> int:
        known = await self._store.accepted_ids(list(unseen))
        altered = [*altered, *(unseen[key] for key in known if posted_call(unseen[key]))]
        new = {key: record for key, record in unseen.items() if key not in known}
        new |= await self._altered(altered, new)
        calls = [record for record in new.values() if isinstance(record, CallCompleted)]
        bad = [record for record in new.values() if isinstance(record, BadRow)]
        await self._publisher.park_source_rows(
            (f"{row.server_id}:{row.tenant}", row.raw, row.reason) for row in bad
        )
        legs = await self._look_at_legs(new.values(), calls)
        events = [call_completed(call) for call in calls]
        events += [call_completed(call, key) for call, key in legs.publish]
        await self._publisher.publish(events)
        published = {event.event_id for event in events}
        await self._store.save_records(
            [_row(key, record, is_published=key in published) for key, record in new.items()],
            [(event.event_id, event.value) for event in events],
            legs.rows,
        )
        self._remember({**unseen, **new})
        _report(new.values(), bad)
        return len(new)

    async def _look_at_legs(
        self, new: Collection[SourceRecord], calls: Sequence[CallCompleted]
    ) -> LegOutcome:
        """What becomes of the legs that left by a carrier. Those of normal calls end here."""
        now = self._clock.now()
        legs = [new_leg(r, r.call, now) for r in new if isinstance(r, BLeg) and r.call]
        if not legs:
            return LegOutcome()
        outcome = look_at(legs, await self._legs.origins_of(legs, calls), now)
        for call, _ in outcome.publish:
            LEGS.labels(call.server_id, call.leg_decision).inc()
        for leg in legs:
            if leg.call.call_id in outcome.paid_for:
                LEGS.labels(leg.call.server_id, "part-of-call").inc()
        return outcome

    async def _altered(
        self, altered: Sequence[SourceRecord], new: Mapping[UUID, SourceRecord]
    ) -> dict[UUID, BadRow]:
        """The dead letters, by id, of posts that say something else than what was accepted."""
        if not altered:
            return {}
        accepted = await self._store.accepted_as([record_id(record) for record in altered])
        found: dict[UUID, BadRow] = {}
        for record in altered:
            call, key = posted_call(record), record_id(record)
            first = posted_call(new[key]) if key in new else None
            disposition, value = accepted.get(key, ("", None))
            before = first or (CallCompleted.model_validate_json(value) if value else None)
            was_leg = isinstance(new.get(key), BLeg) or disposition == "b-leg"
            if call is None or (before is None and not was_leg):
                continue  # what was published is not kept any more
            row = altered_post(call, before)
            if row is not None:
                found[record_id(row)] = row
        known = await self.known_ids(list(found))
        return {key: row for key, row in found.items() if key not in known}

    def _remember(self, records: Mapping[UUID, SourceRecord]) -> None:
        self._recent.update({key: _hash_of(record) for key, record in records.items()})
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)


def _hash_of(record: SourceRecord) -> int:
    """The hash of what a posted call says; 0 for records that are not compared."""
    call = posted_call(record)
    if call is None:
        return 0
    return hash(facts_of(call)) or 1


def _report(new: Collection[SourceRecord], bad: Sequence[BadRow]) -> None:
    for record in new:
        RECORDS.labels(record.server_id, _disposition(record)).inc()
    for row in bad:
        log.warning(
            "row parked",
            server_id=row.server_id,
            tenant=row.tenant,
            line=row.line_number,
            reason=row.reason,
        )


def call_completed(call: CallCompleted, key: str = "") -> Outgoing:
    """`call.completed.v1`. Its id is the call's, whether the call was polled or posted.

    A leg keeps the `key` under which it was published first, so that its decisions stay in order.
    """
    return Outgoing(
        topic=CALL_COMPLETED,
        key=key or f"{call.server_id}:{call.tenant}",
        value=call.to_json(),
        event_id=call.call_id,
        time=call.ended_at,
        source="cdr-ingest",
        correlation_id=str(call.call_id),
    )


def republished_call(value: bytes, key: str) -> Outgoing:
    """`call.completed.v1` again, from the bytes of the first time."""
    event = call_completed(CallCompleted.model_validate_json(value))
    event.key, event.value = key, value
    return event


def _disposition(record: SourceRecord) -> str:
    if isinstance(record, CallCompleted):
        return "published"
    return "b-leg" if isinstance(record, BLeg) else "dead"


def _row(key: UUID, record: SourceRecord, *, is_published: bool) -> RecordRow:
    leg = record if isinstance(record, BLeg) else None
    call = record if isinstance(record, CallCompleted) else leg.call if leg else None
    return RecordRow(
        record_id=key,
        server_id=record.server_id,
        tenant=record.tenant,
        source=call.source if call else "",
        disposition="published" if is_published else _disposition(record),
        reason=record.reason[:500] if isinstance(record, BadRow) else "",
        started_at=call.started_at if call else None,
        originating_id=leg.origin_id if leg else None,
    )
