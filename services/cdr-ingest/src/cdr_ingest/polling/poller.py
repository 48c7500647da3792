"""Polls one feed: reads windows of calls, ingests their records, moves the cursor."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from cdr_ingest.metrics import FAILURES, NEWEST_CALL, READ_UNTIL
from cdr_ingest.polling.backoff import backed_off_s, next_poll_s
from cdr_ingest.polling.feed import Feed
from cdr_ingest.polling.guarded import SourceReadError, guarded_records
from cdr_ingest.polling.outage import OutageWatch
from cdr_ingest.polling.retention import RetentionWatch
from cdr_ingest.polling.waiting import wait_reporting
from cdr_ingest.polling.window import Band, Cursor, StartWindow, advanced, plan_windows
from cdr_ingest.sources.source import ListedRecord, SourceRecord
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.events.call import CallCompleted

_REFUSED_WAIT_S = 60.0
log = structlog.get_logger()


@dataclass
class _WindowRead:
    """What a window held: how many new records, and how many rows."""

    new: int = 0
    listed: int = 0


class Poller:
    """The loop that polls one feed.

    A failure of the source counts towards its outage. A failure of Kafka or PostgreSQL does not:
    the poll is retried later, and the cursor does not move.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        outages: OutageWatch,
        progress: Progress,
        retention: RetentionWatch | None = None,
    ) -> None:
        self._feed = feed
        self._outages = outages
        self._progress = progress
        self._retention = retention
        self._our_failures = 0
        self._newest_call_at = time.monotonic()
        self._newest_start = 0.0
        self._looked_at: dict[Band, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set. A source that fails is polled less often."""
        while not stop.is_set():
            if await self._wait(stop, self._feed.cooldown.remaining_s):
                return
            began = time.monotonic()
            wait_s = await self._run_once()
            self._progress.turned()
            await self._wait(stop, max(0.05, wait_s - (time.monotonic() - began)))

    async def _wait(self, stop: asyncio.Event, seconds: float) -> bool:
        return await wait_reporting(stop, seconds, self._progress.turned)

    async def _run_once(self) -> float:
        """Poll once and record the result. Returns the seconds until the next poll should begin."""
        try:
            new = await self.poll()
            await self._outages.record_success()
        except SourceReadError as error:
            return await self._source_failed(error)
        except TRANSIENT_ERRORS as error:
            return self._we_failed(error)
        self._our_failures = 0
        if new:
            self._newest_call_at = time.monotonic()
        quiet_s = time.monotonic() - self._newest_call_at
        return next_poll_s(quiet_s, self._feed.interval.poll_s, self._feed.interval.rest_s)

    async def _source_failed(self, error: SourceReadError) -> float:
        FAILURES.labels(self._feed.server_id, self._feed.name).inc()
        if error.after_s:
            self._feed.cooldown.start(error.after_s)
        try:
            failures = await self._outages.record_failure(str(error), refused=error.refused)
        except TRANSIENT_ERRORS as ours:
            return self._we_failed(ours)
        return _REFUSED_WAIT_S if error.refused else self._backed_off_s(failures)

    def _we_failed(self, error: Exception) -> float:
        """Kafka or PostgreSQL failed: this is no outage of the source."""
        self._our_failures += 1
        log.warning("polling waits", lane=self._feed.name, reason=repr(error))
        return self._backed_off_s(self._our_failures)

    def _backed_off_s(self, failures: int) -> float:
        interval = self._feed.interval
        return backed_off_s(failures, interval.poll_s, interval.backoff_max_s)

    async def poll(self) -> int:
        """Read the windows that may hold new calls. Returns how many records were new.

        For each window, in this order:

        1. Its records are confirmed and ingested. A kill after this reads the window again; the
           records are known by then and are dropped.
        2. The cursor moves. A kill after this continues with the next window.
        """
        now = int(self._feed.clock.now().timestamp())
        cursor = await self._feed.store.cursor(self._feed.server_id, self._feed.name)
        if cursor:
            self._measure_retention(cursor, now)
        lookback, looked_at = self._feed.lookback, self._looked_at
        plan = plan_windows(cursor, now, lookback, looked_at)
        new = listed = 0
        for window in plan.windows:
            found = await self._read(window)
            new, listed = new + found.new, listed + found.listed
            looked_at |= dict.fromkeys(window.bands, now)
            cursor = advanced(cursor, plan, window, now, lookback, looked_at)
            await self._save_cursor(cursor, now)
        if not listed:
            await self._feed.confirmer.check_empty_list()
        return new

    async def _save_cursor(self, cursor: Cursor, now: int) -> None:
        await self._feed.store.save_cursor(self._feed.server_id, self._feed.name, cursor)
        READ_UNTIL.labels(self._feed.server_id, self._feed.name).set(cursor.read_until)
        self._measure_retention(cursor, now)

    def _measure_retention(self, cursor: Cursor, now: int) -> None:
        if self._retention:
            self._retention.measure(cursor.read_until, now)

    async def _read(self, window: StartWindow) -> "_WindowRead":
        """Ingest a window."""
        found = _WindowRead()
        batch: list[ListedRecord] = []
        reading = guarded_records(
            self._feed.polled_source,
            self._feed.name,
            window.start,
            window.stop,
            least_s=window.least_s,
            record_timeout_s=self._feed.record_timeout_s,
        )
        async with aclosing(reading) as records:
            async for record in records:
                batch.append(record)
                if len(batch) >= self._feed.batch_records:
                    await self._ingest(batch, found)
                    batch = []
        await self._ingest(batch, found)
        return found

    async def _ingest(self, batch: Sequence[ListedRecord], found: "_WindowRead") -> None:
        believed = await self._feed.confirmer.confirm(batch)
        new = await self._feed.ingester.ingest(believed)
        self._progress.turned(read=new)
        found.new += new
        found.listed += len(batch)
        self._note_newest(believed)

    def _note_newest(self, records: Sequence[SourceRecord]) -> None:
        starts = [r.started_at.timestamp() for r in records if isinstance(r, CallCompleted)]
        if (newest := max(starts, default=0.0)) > self._newest_start:
            self._newest_start = newest
            NEWEST_CALL.labels(self._feed.server_id).set(newest)
