"""Polls one lane of a source: read a window, publish what is new, note it, move the cursor."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from cdr_ingest.ingest import Ingester
from cdr_ingest.metrics import FAILURES, NEWEST_CALL, READ_UNTIL
from cdr_ingest.polling.backoff import backed_off_s, next_poll_s
from cdr_ingest.polling.cooldown import Cooldown
from cdr_ingest.polling.guarded import SourceReadError, guarded_records
from cdr_ingest.polling.outage import OutageWatch
from cdr_ingest.polling.retention import RetentionWatch
from cdr_ingest.polling.window import Cursor, LookbackSettings, advanced, plan_windows
from cdr_ingest.sources.source import Source, SourceRecord
from cdr_ingest.store import IngestStore
from ringfence.clock import Clock
from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.events.call import CallCompleted

_REFUSED_WAIT_S = 60.0
_LOOK_S = 20.0
"""A loop that waits for longer says now and then that it is alive."""

log = structlog.get_logger()


@dataclass(frozen=True)
class PollInterval:
    """How soon a lane is asked again, in seconds.

    Between `poll_s` and `rest_s` while all is well; up to `backoff_max_s` after failures. One
    record may take `patience_s` to come.
    """

    poll_s: float
    rest_s: float
    backoff_max_s: float
    patience_s: float


class Poller:
    """One lane: all the calls of a server, or those of one of its tenants.

    `hold` is shared by all lanes of a server. Failures of the source are its outage; failures of
    our own servers are waited for, and the cursor stays.
    """

    def __init__(
        self,
        *,
        source: Source,
        lane: str,
        intake: Ingester,
        store: IngestStore,
        clock: Clock,
        reach: LookbackSettings,
        pace: PollInterval,
        batch_records: int,
        outages: OutageWatch,
        hold: Cooldown,
        progress: Progress,
        retention: RetentionWatch | None = None,
    ) -> None:
        self._source = source
        self._lane = lane
        self._intake = intake
        self._store = store
        self._clock = clock
        self._reach = reach
        self._pace = pace
        self._batch_records = batch_records
        self._outages = outages
        self._hold = hold
        self._progress = progress
        self._retention = retention
        self._waits = 0
        self._newest_call_at = time.monotonic()
        self._newest_start = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set; a source that fails is backed off, and nothing is lost."""
        while not stop.is_set():
            if await self._waited(stop, self._hold.left_s):
                return
            began = time.monotonic()
            wait_s = await self._turn()
            self._progress.turned()
            await self._waited(stop, max(0.05, wait_s - (time.monotonic() - began)))

    async def _waited(self, stop: asyncio.Event, seconds: float) -> bool:
        """Wait, or less if told to stop; whether it was."""
        until = time.monotonic() + seconds
        while not stop.is_set() and (left_s := until - time.monotonic()) > 0:
            await wait_or_stop(stop, min(left_s, _LOOK_S))
            self._progress.turned()
        return stop.is_set()

    async def _turn(self) -> float:
        """One poll, and what is to be told of it; the seconds until the next one should begin."""
        try:
            fresh = await self.poll()
            await self._outages.worked()
        except SourceReadError as error:
            return await self._source_failed(error)
        except TRANSIENT_ERRORS as error:
            return self._we_failed(error)
        self._waits = 0
        if fresh:
            self._newest_call_at = time.monotonic()
        quiet_s = time.monotonic() - self._newest_call_at
        return next_poll_s(quiet_s, self._pace.poll_s, self._pace.rest_s)

    async def _source_failed(self, error: SourceReadError) -> float:
        FAILURES.labels(self._source.server_id, self._lane).inc()
        if error.after_s:
            self._hold.leave_alone(error.after_s)
        try:
            failures = await self._outages.failed(str(error), refused=error.refused)
        except TRANSIENT_ERRORS as ours:
            return self._we_failed(ours)
        if error.refused:
            return _REFUSED_WAIT_S
        return backed_off_s(failures, self._pace.poll_s, self._pace.backoff_max_s)

    def _we_failed(self, error: Exception) -> float:
        """Broker or database are unwell: that is no outage of the source."""
        self._waits += 1
        log.warning("polling waits", lane=self._lane, reason=repr(error))
        return backed_off_s(self._waits, self._pace.poll_s, self._pace.backoff_max_s)

    async def poll(self) -> int:
        """Read what may be new; how many records were. The cursor moves after each window."""
        now = int(self._clock.now().timestamp())
        cursor = await self._store.cursor(self._source.server_id, self._lane)
        if self._retention and cursor:
            self._retention.look(cursor.read_until, now)
        todo = plan_windows(cursor, now, self._reach)
        fresh = 0
        for window in todo.windows:
            counted, longest_s = await self._read(*window)
            fresh += counted
            reached = advanced(cursor, todo, window, now, self._reach)
            cursor = replace(reached, longest_call_s=max(reached.longest_call_s, longest_s))
            await self._keep(cursor, now)
        return fresh

    async def _keep(self, cursor: Cursor, now: int) -> None:
        await self._store.move(self._source.server_id, self._lane, cursor)
        READ_UNTIL.labels(self._source.server_id, self._lane).set(cursor.read_until)
        if self._retention:
            self._retention.look(cursor.read_until, now)

    async def _read(self, start: int, stop: int) -> tuple[int, int]:
        """Take in a window's records: how many were new, and the longest call's seconds."""
        fresh, longest_s = 0, 0
        batch: list[SourceRecord] = []
        given = guarded_records(
            self._source, self._lane, start, stop, patience_s=self._pace.patience_s
        )
        async with aclosing(given) as records:
            async for record in records:
                batch.append(record)
                longest_s = max(longest_s, self._length_s(record))
                if len(batch) >= self._batch_records:
                    fresh += await self._take(batch)
                    batch = []
        return fresh + await self._take(batch), longest_s

    async def _take(self, batch: Sequence[SourceRecord]) -> int:
        fresh = await self._intake.take(batch)
        self._progress.turned(read=fresh)
        return fresh

    def _length_s(self, record: SourceRecord) -> int:
        if not isinstance(record, CallCompleted):
            return 0
        if (started_at := record.started_at.timestamp()) > self._newest_start:
            self._newest_start = started_at
            NEWEST_CALL.labels(self._source.server_id).set(started_at)
        return int((record.ended_at - record.started_at).total_seconds())


def lanes_of(tenants: Sequence[str], all_tenants: bool) -> tuple[str, ...]:
    """The lanes in which a server is read: one for all of it, or one for each tenant."""
    return ("*",) if all_tenants else tuple(tenants)
