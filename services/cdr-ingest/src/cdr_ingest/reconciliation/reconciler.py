"""Counts what a source lists against what came from it, and fetches what did not.

An hour is listed again once it is over, then 1 h, 6 h and 24 h later. A gap is told first and
closed after: whoever is killed in between tells it again, under the same id.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from cdr_ingest.ingest import Ingester
from cdr_ingest.metrics import GAP_CALLS
from cdr_ingest.polling.cooldown import Cooldown
from cdr_ingest.polling.guarded import SourceReadError, guarded_records
from cdr_ingest.polling.window import Cursor, LookbackSettings
from cdr_ingest.reconciliation.hours import FARTHEST_S, HOUR_S, HourCount, as_instant, hours_due
from cdr_ingest.reconciliation.store import ReconcileStore
from cdr_ingest.sources.source import Source, SourceRecord, record_id
from cdr_ingest.store import IngestStore
from ringfence.clock import Clock
from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.events.source import SourceGapFound

MAX_FETCHED = 5000
"""A larger gap is closed in several turns, so that memory stays bounded."""

_LOOK_EVERY_S = 20.0
_FAILED_WAIT_S = 600.0
log = structlog.get_logger()


@dataclass
class _Listing:
    """What a source says of an hour; `missing` are the records that are not known, bounded."""

    listed: int = 0
    known: int = 0
    missing: list[SourceRecord] = field(default_factory=list)
    whole: bool = True

    @property
    def count(self) -> HourCount:
        return HourCount(self.listed, self.known)


class Reconciler:
    """One lane of a source. It waits for the poller: what polling may still bring is no gap."""

    def __init__(
        self,
        *,
        source: Source,
        lane: str,
        intake: Ingester,
        store: IngestStore,
        hours: ReconcileStore,
        clock: Clock,
        reach: LookbackSettings,
        patience_s: float,
        batch_records: int,
        hold: Cooldown,
        progress: Progress,
    ) -> None:
        self._source = source
        self._lane = lane
        self._intake = intake
        self._store = store
        self._hours = hours
        self._clock = clock
        self._reach = reach
        self._patience_s = patience_s
        self._batch_records = batch_records
        self._hold = hold
        self._progress = progress
        self._put_off: dict[int, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Count hours as they become due, until `stop` is set."""
        while not stop.is_set():
            counted = False
            try:
                counted = not self._hold.left_s and await self.turn()
            except TRANSIENT_ERRORS as error:
                log.warning("reconciliation waits", lane=self._lane, reason=repr(error))
            self._progress.turned()
            await wait_or_stop(stop, 1.0 if counted else _LOOK_EVERY_S)

    async def turn(self) -> bool:
        """Count the oldest hour that is due; False if none is."""
        now = int(self._clock.now().timestamp())
        cursor = await self._store.cursor(self._source.server_id, self._lane)
        due = await self._due(cursor, now) if cursor else []
        if not due or cursor is None:
            return False
        try:
            await self._check(due[0], self._settled(cursor), now)
        except SourceReadError as error:
            self._hold.leave_alone(error.after_s)
            self._put_off[due[0]] = now + int(_FAILED_WAIT_S)
            log.warning("an hour could not be counted", hour=due[0], reason=str(error))
        return True

    async def _due(self, cursor: Cursor, now: int) -> list[int]:
        """The hours that are due and that polling has left behind."""
        server_id, reach = self._source.server_id, self._reach
        checked = await self._hours.checked(server_id, self._lane, now - FARTHEST_S - HOUR_S)
        due = hours_due(now, cursor.read_from, checked, reach.lag_s + reach.sweep_every_s)
        self._put_off = {hour: until for hour, until in self._put_off.items() if until > now}
        settled = self._settled(cursor)
        return [h for h in due if h + HOUR_S <= settled and h not in self._put_off]

    def _settled(self, cursor: Cursor) -> int:
        """Calls that ended before this were all asked for, whatever their length."""
        return min(cursor.read_until, cursor.swept_at) - self._reach.lag_s

    async def _check(self, hour: int, settled: int, now: int) -> None:
        found = await self._list(hour, settled)
        if found.count.missing:
            await self._tell(hour, found.count)
        for start in range(0, len(found.missing), self._batch_records):
            await self._intake.take(found.missing[start : start + self._batch_records])
            self._progress.turned()
        healed = sum(isinstance(record, CallCompleted) for record in found.missing)
        await self._hours.settle(
            self._source.server_id,
            self._lane,
            hour,
            found.count,
            healed=healed,
            at=now if found.whole else None,
        )

    async def _list(self, hour: int, settled: int) -> _Listing:
        found = _Listing()
        batch: list[SourceRecord] = []
        last = hour + HOUR_S - 1
        given = guarded_records(self._source, self._lane, hour, last, patience_s=self._patience_s)
        async with aclosing(given) as records:
            async for record in records:
                if not isinstance(record, CallCompleted) or _ended(record) <= settled:
                    batch.append(record)
                if len(batch) >= self._batch_records:
                    await self._compare(batch, found)
                    batch = []
        await self._compare(batch, found)
        return found

    async def _compare(self, batch: Sequence[SourceRecord], found: _Listing) -> None:
        unique = {record_id(record): record for record in batch}
        known = await self._store.accepted(list(unique))
        for key, record in unique.items():
            if isinstance(record, CallCompleted):
                found.listed += 1
                found.known += key in known
            if key in known:
                continue
            if len(found.missing) < MAX_FETCHED:
                found.missing.append(record)
            else:
                found.whole = False
        self._progress.turned()

    async def _tell(self, hour: int, count: HourCount) -> None:
        event = SourceGapFound(
            server_id=self._source.server_id,
            lane=self._lane,
            hour=as_instant(hour),
            listed=count.listed,
            ingested=count.ingested,
            missing=count.missing,
            found_at=self._clock.now(),
        )
        await self._hours.found_gap(event)
        GAP_CALLS.labels(event.server_id, event.lane).inc(event.missing)
        log.warning("gap found", **event.model_dump(mode="json"))


def _ended(call: CallCompleted) -> int:
    return int(call.ended_at.timestamp())
