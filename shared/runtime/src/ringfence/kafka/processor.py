"""Processing of a batch: retries, dead letters, the reject limit and crashes, for both consumers.

1. The handler does the batch's work in the database. A kill before its commit changes nothing.
2. Rejected records are written to the dead letters (those beyond the limit of their source to a
   table), then events are published. A kill after the handler's commit repeats both steps: the
   handler finds its work done and returns the same events.
3. Only then may the caller commit the batch's offsets. A kill before that repeats all of it.
4. After that, crashes at these offsets are forgotten. A kill before it leaves them stored, which
   changes nothing for the offsets behind.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import stamina
import structlog

from ringfence.kafka.failures.crash_ranges import BatchPart
from ringfence.kafka.failures.keeper import FailureKeeper
from ringfence.kafka.failures.wording import crash_reason
from ringfence.kafka.publisher import Publisher
from ringfence.observe.metrics import EVENTS, REJECTED, RETRIES, STAGE_SECONDS
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.records import Outcome, Received, Rejected

RETRY_BOUND_S = 20.0
"""Shorter than the group's rebalance time-out, so that a waiting consumer stays in the group."""

R = TypeVar("R")
T = TypeVar("T")

log = structlog.get_logger()


RecordDead = Callable[[Rejected], Awaitable[None]]
"""Records in the service's tables that a record is dead, before its dead letter is written."""


def _unread(batch: Sequence[Received]) -> Any:
    return batch


async def _nothing(_: Rejected) -> None:
    """The default of `record_dead`: the service has no table of dead records."""


class RecordProcessor(Generic[R]):
    """Runs a handler on batches, publishes its events and writes its rejects to the dead letters.

    The handler is given what `read` decodes from a batch (without `read`, the batch itself), and is
    called again with the same value while it raises one of TRANSIENT_ERRORS, for `retry_bound_s`
    seconds at most. `consumer` names the metrics and the dead-letter topics. Without `failures`,
    every reject becomes a dead letter, and nothing is known of crashes.
    """

    def __init__(
        self,
        handler: Callable[[R], Awaitable[Outcome]],
        publisher: Publisher,
        *,
        consumer: str,
        read: Callable[[Sequence[Received]], R] = _unread,
        retry_bound_s: float = RETRY_BOUND_S,
        failures: FailureKeeper | None = None,
        record_dead: RecordDead = _nothing,
    ) -> None:
        self._handler = handler
        self._read = read
        self._publisher = publisher
        self._consumer = consumer
        self._retry_bound_s = retry_bound_s
        self._failures = failures
        self._record_dead = record_dead
        if failures is not None:
            failures.attach(self)

    def read(self, batch: Sequence[Received]) -> R:
        """Decode `batch`. This needs nothing but its bytes, so it may run ahead of `handle`."""
        with STAGE_SECONDS.labels(self._consumer, "read").time():
            return self._read(batch)

    async def process(self, batch: Sequence[Received]) -> None:
        """Handle `batch` and publish its events; after that its offsets may be committed.

        Raises Retry or another of TRANSIENT_ERRORS when a dependency fails for longer than the
        bound, and any other exception of the handler, which is a bug and is stored as a crash.
        """
        for part in await self.divide(batch):
            try:
                outcome = await self.outcome_of(part)
                await self.publish(part.records, outcome)
            except Exception as error:
                await self.crashed(part.records, error)
                raise

    async def divide(self, batch: Sequence[Received]) -> list[BatchPart]:
        """The parts of a batch that are handled after each other; one, unless there were crashes.

        Raises one of TRANSIENT_ERRORS as `process` does.
        """
        if self._failures is None:
            return [BatchPart(batch)]
        failures = self._failures
        return await self._in_time(lambda: failures.divide(batch))

    async def outcome_of(self, part: BatchPart) -> Outcome:
        """Handle the records of a part, or reject the one that is known to crash."""
        if part.dead is None:
            return await self.handle(self.read(part.records))
        return await self.reject_crashed(part)

    async def reject_crashed(self, part: BatchPart) -> Outcome:
        """Reject the one record of a part, which ended the process, under an alarm."""
        crash, failures = part.dead, self._failures
        assert crash is not None, "only a part with a known crash is rejected"
        assert failures is not None, "without failures no crash is known"
        rejected = Rejected(part.records[0], crash_reason(crash), crash.traceback)

        async def once() -> None:
            await self._record_dead(rejected)
            await failures.raise_dead(rejected.received, crash)

        await self._in_time(once)
        return Outcome(reject=[rejected])

    async def committed(self, batch: Sequence[Received]) -> None:
        """Forget the crashes at offsets that were committed."""
        if self._failures is not None:
            failures = self._failures
            await self._in_time(lambda: failures.processed(batch))

    async def crashed(self, batch: Sequence[Received], error: Exception) -> None:
        """Store that the process is about to end, if `error` is a bug. Never raises."""
        if self._failures is not None and not isinstance(error, TRANSIENT_ERRORS):
            await self._failures.crashed(batch, error)

    @property
    def is_cautious(self) -> bool:
        """Whether records may have to be handled alone: batches must be small then."""
        return self._failures is not None and self._failures.is_cautious

    def unassigned(self) -> None:
        """Partitions may be given to other replicas."""
        if self._failures is not None:
            self._failures.unassigned()

    async def handle(self, read: R) -> Outcome:
        """Run the handler. The batch before this one must have been handled."""

        async def once() -> Outcome:
            with STAGE_SECONDS.labels(self._consumer, "handle").time():
                return await self._handler(read)

        return await self._in_time(once)

    async def publish(self, batch: Sequence[Received], outcome: Outcome) -> None:
        """Write the rejects of a batch and publish its events, after those of the batch before."""
        over = self._over_limit(outcome.reject)
        parked = [d for d in outcome.reject if id(d) not in over] if over else outcome.reject

        async def once() -> None:
            with STAGE_SECONDS.labels(self._consumer, "publish").time():
                if over and self._failures is not None:
                    await self._failures.save(list(over.values()))
                if self._failures is not None:
                    await self._failures.keep_dead(outcome.reject)
                await self._publisher.park(parked, self._consumer)
                await self._publisher.publish(outcome.publish)

        await self._in_time(once)
        self._count(batch, outcome, parked, len(over))

    def _over_limit(self, rejected: Sequence[Rejected]) -> dict[int, Rejected]:
        """The rejects beyond the limit of their source, by identity; empty without failures."""
        if self._failures is None or not rejected:
            return {}
        # A record that crashed always becomes a dead letter: that has the traceback.
        limited = [dead for dead in rejected if not dead.traceback]
        return {id(dead): dead for dead in self._failures.over_limit(limited)}

    def _count(
        self, batch: Sequence[Received], outcome: Outcome, parked: Sequence[Rejected], over: int
    ) -> None:
        for dead in outcome.reject:
            REJECTED.labels(self._consumer, dead.received.topic).inc()
        for dead in parked:
            _log_rejected(dead)
        if over:
            log.warning("records rejected beyond the limit of their source", records=over)
        EVENTS.labels(self._consumer, "in").inc(len(batch))
        EVENTS.labels(self._consumer, "out").inc(len(outcome.publish))

    async def _in_time(self, once: Callable[[], Awaitable[T]]) -> T:
        """Repeat `once` with back-off while it fails transiently, within the retry bound."""
        async for attempt in stamina.retry_context(
            on=TRANSIENT_ERRORS,
            attempts=None,
            timeout=self._retry_bound_s,
            wait_initial=0.05,
            wait_max=2.0,
            wait_jitter=0.05,
        ):
            with attempt:
                if attempt.num > 1:
                    RETRIES.labels(self._consumer).inc()
                return await once()
        raise AssertionError("the last attempt returns or raises")


def _log_rejected(dead: Rejected) -> None:
    log.warning(
        "record rejected",
        topic=dead.received.topic,
        partition=dead.received.partition,
        offset=dead.received.offset,
        reason=dead.reason,
        correlation_id=dead.received.correlation_id,
    )
