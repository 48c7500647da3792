"""What a consumer does with records that fail, so that none of them stops the service.

The processor asks it which rejects become dead letters, and how a batch is divided after the
process ended by a bug.
"""

import asyncio
import traceback
from collections.abc import Sequence
from datetime import timedelta

import structlog

from ringfence.clock import Clock, SystemClock
from ringfence.kafka.failures.crash_ranges import BatchPart, CrashRange, Place, divide, offsets_of
from ringfence.kafka.failures.dead_requests import DeadRequests, HandlesAgain
from ringfence.kafka.failures.reject_limit import RejectLimit, source_of
from ringfence.kafka.failures.store import FailureStore
from ringfence.kafka.failures.store_dead import DeadStore
from ringfence.loops import run_loop, run_together
from ringfence.observe.health import Progress
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import Pool
from ringfence_contracts.records import Received, Rejected

REJECTED_KEPT = timedelta(days=30)
"""As long as dead letters are kept."""

CRASHES_KEPT = timedelta(days=7)
_EVERY_S = 30.0
_REQUESTS_EVERY_S = 1.0
_STORE_BOUND_S = 5.0
_LOGGED_PLACES = 20
log = structlog.get_logger()


class FailureKeeper:
    """The reject limit and the crashes of one consumer group, kept in its service's schema."""

    def __init__(
        self,
        store: FailureStore,
        *,
        progress: Progress,
        limit: RejectLimit | None = None,
        clock: Clock | None = None,
        dead: DeadStore | None = None,
    ) -> None:
        self._store = store
        self._progress = progress
        self._limit = limit or RejectLimit()
        self._clock = clock or SystemClock()
        self._ranges: dict[Place, CrashRange] = {}
        self._known: set[Place] | None = None
        self._dead = dead
        self._processor: HandlesAgain | None = None

    def attach(self, processor: HandlesAgain) -> None:
        """Handle dead records by this processor when an operator asks for it."""
        self._processor = processor

    async def run(self, stop: asyncio.Event) -> None:
        """End what is over, prune what is old, do what is requested, until `stop` is set."""
        await run_together(stop, self._tidy_loop, self._request_loop)

    async def _tidy_loop(self, stop: asyncio.Event) -> None:
        await run_loop(
            stop, self.tidy, "failed records wait", progress=self._progress, every_s=_EVERY_S
        )

    async def _request_loop(self, stop: asyncio.Event) -> None:
        if self._dead is None or self._processor is None:
            await stop.wait()
            return
        requests = DeadRequests(self._dead, self._processor, self._clock)
        await run_loop(
            stop,
            requests.work,
            "requests about dead records wait",
            progress=self._progress,
            every_s=_REQUESTS_EVERY_S,
            longest_pause_s=_EVERY_S,
        )

    async def tidy(self) -> None:
        """End the alarms of sources that sent no bad record for a window; delete old records."""
        now = self._clock.now()
        for source in await self._store.end_quiet(now - self._limit.window, now):
            self._limit.reset(source)
            log.info("source sends no bad records any more", source=source)
        await self._store.prune(now - REJECTED_KEPT, now - CRASHES_KEPT, now)
        if self._dead is not None:
            await self._dead.prune(now - REJECTED_KEPT)

    @property
    def is_cautious(self) -> bool:
        """Whether records may have to be handled alone: batches must be small then."""
        return not self._known or bool(self._ranges)

    def over_limit(self, rejected: Sequence[Rejected]) -> list[Rejected]:
        """The rejects that are beyond the limit of their source; counts each of them once."""
        now = self._clock.now()
        return [d for d in rejected if self._limit.is_over(source_of(d.received), now)]

    async def save(self, over: Sequence[Rejected]) -> None:
        """Keep rejects that are beyond the limit, under one alarm for each source. Idempotent."""
        await self._store.save_rejected(over, self._limit, self._clock.now())

    async def keep_dead(self, rejected: Sequence[Rejected]) -> None:
        """Keep rejected records for operators. Idempotent."""
        if self._dead is not None and rejected:
            await self._dead.save(rejected, self._clock.now())

    async def divide(self, batch: Sequence[Received]) -> list[BatchPart]:
        """Divide a batch by what is known of crashes at its offsets."""
        places = {(received.topic, received.partition) for received in batch}
        if self._known is None:
            self._limit.set_over(await self._store.sources_over())
            self._known = set()
        if not places <= self._known:
            # A partition that is new here: another replica may have crashed on it.
            self._ranges = await self._store.crashes()
            self._known |= places
        return list(divide(batch, self._ranges)) if self._ranges else [BatchPart(batch)]

    def unassigned(self) -> None:
        """Partitions may go to other replicas: what is known of crashes is read again."""
        if self._known is not None:
            self._known = set()

    async def processed(self, batch: Sequence[Received]) -> None:
        """Forget the crashes at offsets that are processed now."""
        if not self._ranges:
            return
        for place, (_, last) in offsets_of(batch).items():
            known = self._ranges.get(place)
            if known is not None and known.last <= last:
                await self._store.delete_crash(place, last)
                del self._ranges[place]

    async def crashed(self, batch: Sequence[Received], error: BaseException) -> None:
        """Store where the process is about to end by a bug, and log it. Never raises."""
        offsets, alone = offsets_of(batch), len(batch) == 1
        _log_crash(batch, error)
        text = "".join(traceback.format_exception(error))
        try:
            async with asyncio.timeout(_STORE_BOUND_S):
                await self._store.add_crash(
                    offsets, self._clock.now(), alone=alone, reason=repr(error), traceback=text
                )
        except Exception as failure:
            log.warning("the crash could not be stored", reason=repr(failure))

    async def raise_dead(self, received: Received, crash: CrashRange) -> None:
        """Raise the alarm about a record that is a dead letter because it crashed. Idempotent."""
        await self._store.raise_dead(received, crash, self._clock.now())


def keep_failures(
    pool: Pool, alarms: Alarms, *, group: str, progress: Progress, lists_dead: bool = True
) -> FailureKeeper:
    """The keeper of a consumer group, in the schema of its alarms, with the usual limits.

    `lists_dead`: whether the service has the tables by which operators handle dead records again.
    """
    store = FailureStore(pool, alarms, consumer=group)
    dead = DeadStore(pool, alarms.schema, consumer=group) if lists_dead else None
    return FailureKeeper(store, progress=progress, dead=dead)


def _log_crash(batch: Sequence[Received], error: BaseException) -> None:
    """Log the records, one of which ends the process."""
    for (topic, partition), (first, last) in list(offsets_of(batch).items())[:_LOGGED_PLACES]:
        log.error(
            "a record ends the process",
            topic=topic,
            partition=partition,
            offset=first,
            last_offset=last,
            records=len(batch),
            reason=repr(error)[:500],
        )
