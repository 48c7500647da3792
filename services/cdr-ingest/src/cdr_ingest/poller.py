"""Polls one lane of a source: read a window, publish what is new, note it, move the cursor."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

import structlog

from cdr_ingest.intake import Intake
from cdr_ingest.metrics import FAILURES, NEWEST_CALL, READ_UNTIL
from cdr_ingest.retention import RetentionWatch
from cdr_ingest.sources import Refused, Source, SourceRecord, Throttled
from cdr_ingest.store import IngestStore
from cdr_ingest.window import Cursor, Reach, plan
from ringfence.clock import Clock
from ringfence.events.call import CallCompleted
from ringfence.kafka.shell import UNWELL, wait_or_stop
from ringfence.observe.health import Progress

_REFUSED_WAIT_S = 60.0
log = structlog.get_logger()


class Poller:
    """One lane: all the calls of a server, or those of one of its tenants."""

    def __init__(
        self,
        *,
        source: Source,
        lane: str,
        intake: Intake,
        store: IngestStore,
        clock: Clock,
        reach: Reach,
        poll_s: float,
        batch_records: int,
        backoff_max_s: float,
        progress: Progress,
        retention: RetentionWatch | None = None,
    ) -> None:
        self._source = source
        self._lane = lane
        self._intake = intake
        self._store = store
        self._clock = clock
        self._reach = reach
        self._poll_s = poll_s
        self._batch_records = batch_records
        self._backoff_max_s = backoff_max_s
        self._progress = progress
        self._retention = retention
        self._failures = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set; a source that fails is backed off, and nothing is lost."""
        while not stop.is_set():
            began = time.monotonic()
            wait_s = await self._poll_or_back_off()
            self._progress.turned()
            await wait_or_stop(stop, max(0.05, wait_s - (time.monotonic() - began)))

    async def _poll_or_back_off(self) -> float:
        """One poll; the seconds until the next one should begin."""
        try:
            await self.poll()
        except Refused as error:
            self._note_failure(error)
            return _REFUSED_WAIT_S
        except UNWELL as error:
            self._note_failure(error)
            backed_off_s = min(self._backoff_max_s, self._poll_s * 2 ** min(self._failures, 10))
            return float(max(backed_off_s, error.after_s if isinstance(error, Throttled) else 0.0))
        self._failures = 0
        return self._poll_s

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        FAILURES.labels(self._source.server_id, self._lane).inc()
        log.warning(
            "source failed",
            server_id=self._source.server_id,
            lane=self._lane,
            failures=self._failures,
            reason=str(error),
        )

    async def poll(self) -> int:
        """Read what may be new; how many records were. The cursor moves after each window."""
        now = int(self._clock.now().timestamp())
        cursor = await self._store.cursor(self._source.server_id, self._lane)
        if self._retention and cursor:
            self._retention.look(cursor.read_until, now)
        todo = plan(cursor, now, self._reach)
        longest_s, fresh = cursor.longest_call_s if cursor else 0, 0
        for start, stop in todo.windows:
            counted, longest_s = await self._read(start, stop, longest_s)
            fresh += counted
            self._progress.turned(read=counted)
            # A sweep must not skip what it has not read yet, should it be cut off half way.
            reached = Cursor(min(stop, now), longest_s)
            if not todo.sweep or stop >= now:
                done = replace(reached, swept_at=now if todo.sweep else 0)
                await self._store.move(self._source.server_id, self._lane, done)
                READ_UNTIL.labels(self._source.server_id, self._lane).set(done.read_until)
                if self._retention:
                    self._retention.look(done.read_until, now)
        return fresh

    async def _read(self, start: int, stop: int, longest_s: int) -> tuple[int, int]:
        fresh = 0
        batch: list[SourceRecord] = []
        async with aclosing(self._source.records(self._lane, start, stop)) as records:
            async for record in records:
                batch.append(record)
                longest_s = max(longest_s, self._length_s(record))
                if len(batch) >= self._batch_records:
                    fresh += await self._intake.take(batch)
                    batch = []
        fresh += await self._intake.take(batch)
        return fresh, longest_s

    def _length_s(self, record: SourceRecord) -> int:
        if not isinstance(record, CallCompleted):
            return 0
        NEWEST_CALL.labels(self._source.server_id).set(record.started_at.timestamp())
        return int((record.ended_at - record.started_at).total_seconds())


def lanes_of(tenants: Sequence[str], all_tenants: bool) -> tuple[str, ...]:
    """The lanes in which a server is read: one for all of it, or one for each tenant."""
    return ("*",) if all_tenants else tuple(tenants)
