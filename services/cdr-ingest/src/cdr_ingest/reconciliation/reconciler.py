"""Counts the calls that a source lists against those ingested from it, and fetches the missing.

An hour is listed again once it is over, then 1 h, 6 h and 24 h later. For each hour:

1. A gap is saved and published. A kill after this publishes the same gap again, under the same id.
2. The missing calls are ingested. A kill after this lists the hour again and finds no gap.
3. The count is saved as complete. The hour is not due before its next recheck.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from cdr_ingest.metrics import GAP_CALLS
from cdr_ingest.polling.feed import Feed
from cdr_ingest.polling.guarded import SourceReadError, guarded_records
from cdr_ingest.polling.window import Cursor
from cdr_ingest.reconciliation.hours import FARTHEST_S, HOUR_S, HourCount, as_instant, hours_due
from cdr_ingest.reconciliation.store import ReconcileStore
from cdr_ingest.sources.source import ListedRecord, SourceRecord, UnprovenRow, record_id
from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.events.source import SourceGapFound

MAX_FETCHED = 5000
"""A larger gap is closed in several rounds, so that memory stays bounded."""

_LOOK_EVERY_S = 20.0
_FAILED_WAIT_S = 600.0
log = structlog.get_logger()


@dataclass
class _Listing:
    """What a source lists for an hour; `missing` holds at most MAX_FETCHED unknown records."""

    listed: int = 0
    known: int = 0
    missing: list[SourceRecord] = field(default_factory=list)
    is_complete: bool = True

    @property
    def count(self) -> HourCount:
        return HourCount(self.listed, self.known)


class Reconciler:
    """The loop that counts the hours of one feed.

    It counts only hours that polling has passed: a call that the next poll may bring is no gap.
    """

    def __init__(self, feed: Feed, *, hours: ReconcileStore, progress: Progress) -> None:
        self._feed = feed
        self._hours = hours
        self._progress = progress
        self._postponed: dict[int, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Count hours as they become due, until `stop` is set."""
        while not stop.is_set():
            counted = False
            try:
                counted = not self._feed.cooldown.remaining_s and await self.run_once()
            except TRANSIENT_ERRORS as error:
                log.warning("reconciliation waits", lane=self._feed.name, reason=repr(error))
            self._progress.turned()
            await wait_or_stop(stop, 1.0 if counted else _LOOK_EVERY_S)

    async def run_once(self) -> bool:
        """Count the oldest hour that is due; False if none is."""
        now = int(self._feed.clock.now().timestamp())
        cursor = await self._feed.store.cursor(self._feed.server_id, self._feed.name)
        due = await self._due(cursor, now) if cursor else []
        if not due or cursor is None:
            return False
        try:
            await self._check(due[0], self._polled_until(cursor), now)
        except SourceReadError as error:
            self._feed.cooldown.start(error.after_s)
            self._postponed[due[0]] = now + int(_FAILED_WAIT_S)
            log.warning("an hour could not be counted", hour=due[0], reason=str(error))
        return True

    async def _due(self, cursor: Cursor, now: int) -> list[int]:
        """The hours that are due and that polling has passed."""
        server_id, lookback = self._feed.server_id, self._feed.lookback
        since = now - FARTHEST_S - HOUR_S
        checked = await self._hours.checked_hours(server_id, self._feed.name, since)
        due = hours_due(now, cursor.read_from, checked, lookback.lag_s + lookback.sweep_every_s)
        self._postponed = {hour: until for hour, until in self._postponed.items() if until > now}
        polled_until = self._polled_until(cursor)
        return [h for h in due if h + HOUR_S <= polled_until and h not in self._postponed]

    def _polled_until(self, cursor: Cursor) -> int:
        """Every call that ended before this time was asked for, whatever its length."""
        return min(cursor.read_until, cursor.swept_at) - self._feed.lookback.lag_s

    async def _check(self, hour: int, polled_until: int, now: int) -> None:
        listing = await self._list(hour, polled_until)
        if listing.count.missing:
            await self._publish_gap(hour, listing.count)
        batch_records = self._feed.batch_records
        for start in range(0, len(listing.missing), batch_records):
            await self._feed.ingester.ingest(listing.missing[start : start + batch_records])
            self._progress.turned()
        healed = sum(isinstance(record, CallCompleted) for record in listing.missing)
        await self._hours.save_count(
            self._feed.server_id,
            self._feed.name,
            hour,
            listing.count,
            healed=healed,
            at=now if listing.is_complete else None,
        )

    async def _list(self, hour: int, polled_until: int) -> _Listing:
        listing = _Listing()
        batch: list[ListedRecord] = []
        reading = guarded_records(
            self._feed.source,
            self._feed.name,
            hour,
            hour + HOUR_S - 1,
            record_timeout_s=self._feed.record_timeout_s,
        )
        async with aclosing(reading) as records:
            async for record in records:
                if _has_ended(record, polled_until):
                    batch.append(record)
                if len(batch) >= self._feed.batch_records:
                    await self._compare(batch, listing)
                    batch = []
        await self._compare(batch, listing)
        return listing

    async def _compare(self, batch: Sequence[ListedRecord], listing: _Listing) -> None:
        unique = {record_id(record): record for record in await self._believed(batch)}
        known = await self._feed.store.accepted_ids(list(unique))
        for key, record in unique.items():
            if isinstance(record, CallCompleted):
                listing.listed += 1
                listing.known += key in known
            if key in known:
                continue
            if len(listing.missing) < MAX_FETCHED:
                listing.missing.append(record)
            else:
                listing.is_complete = False
        self._progress.turned()

    async def _believed(self, batch: Sequence[ListedRecord]) -> list[SourceRecord]:
        """The records that are believed: rows of known calls, and rows that are confirmed."""
        rows = {record_id(r.reading): r for r in batch if isinstance(r, UnprovenRow)}
        known = await self._feed.store.accepted_ids(list(rows)) if rows else set()
        readings = [rows[key].reading for key in known]
        others = [
            r for r in batch if not isinstance(r, UnprovenRow) or record_id(r.reading) not in known
        ]
        return readings + await self._feed.confirmer.confirm(others)

    async def _publish_gap(self, hour: int, count: HourCount) -> None:
        event = SourceGapFound(
            server_id=self._feed.server_id,
            lane=self._feed.name,
            hour=as_instant(hour),
            listed=count.listed,
            ingested=count.ingested,
            missing=count.missing,
            found_at=self._feed.clock.now(),
        )
        await self._hours.record_gap(event)
        GAP_CALLS.labels(event.server_id, event.lane).inc(event.missing)
        log.warning("gap found", **event.model_dump(mode="json"))


def _has_ended(record: ListedRecord, until: int) -> bool:
    """Whether a call had ended by `until`, in Unix seconds; true for what is no call."""
    reading = record.reading if isinstance(record, UnprovenRow) else record
    return not isinstance(reading, CallCompleted) or int(reading.ended_at.timestamp()) <= until
