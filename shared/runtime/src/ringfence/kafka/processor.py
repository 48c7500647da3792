"""Processing of a batch: retries, dead letters and the fuse, the same for both consumers.

1. The handler does the batch's work in the database. A kill before its commit changes nothing.
2. Rejected records are written to the dead letters, then events are published. A kill after the
   handler's commit repeats both steps: the handler finds its work done and returns the same events.
3. Only then may the caller commit the batch's offsets. A kill before that repeats all of it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import stamina
import structlog

from ringfence.kafka.publisher import Publisher
from ringfence.observe.metrics import EVENTS, REJECTED, RETRIES, STAGE_SECONDS
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import FuseBlown
from ringfence_contracts.records import Outcome, Received

RETRY_BOUND_S = 20.0
"""Shorter than the group's rebalance time-out, so that a waiting consumer stays in the group."""

FUSE = 500
"""The process stops when so many records in a row are rejected, with none accepted between."""

R = TypeVar("R")
T = TypeVar("T")

log = structlog.get_logger()


def _unread(batch: Sequence[Received]) -> Any:
    return batch


class RecordProcessor(Generic[R]):
    """Runs a handler on batches, publishes its events and writes its rejects to the dead letters.

    The handler is given what `read` decodes from a batch (without `read`, the batch itself), and is
    called again with the same value while it raises one of TRANSIENT_ERRORS, for `retry_bound_s`
    seconds at most. `consumer` names the metrics and the dead-letter topics.
    """

    def __init__(
        self,
        handler: Callable[[R], Awaitable[Outcome]],
        publisher: Publisher,
        *,
        consumer: str,
        read: Callable[[Sequence[Received]], R] = _unread,
        retry_bound_s: float = RETRY_BOUND_S,
        fuse: int = FUSE,
    ) -> None:
        self._handler = handler
        self._read = read
        self._publisher = publisher
        self._consumer = consumer
        self._retry_bound_s = retry_bound_s
        self._fuse = fuse
        self._rejected_in_a_row = 0

    def read(self, batch: Sequence[Received]) -> R:
        """Decode `batch`. This needs nothing but its bytes, so it may run ahead of `handle`."""
        with STAGE_SECONDS.labels(self._consumer, "read").time():
            return self._read(batch)

    async def process(self, batch: Sequence[Received]) -> None:
        """Handle `batch` and publish its events; after that its offsets may be committed.

        Raises Retry or another of TRANSIENT_ERRORS when a dependency fails for longer than the
        bound, FuseBlown, and any other exception of the handler, which is a bug.
        """
        await self.publish(batch, await self.handle(self.read(batch)))

    async def handle(self, read: R) -> Outcome:
        """Run the handler. The batch before this one must have been handled."""

        async def once() -> Outcome:
            with STAGE_SECONDS.labels(self._consumer, "handle").time():
                return await self._handler(read)

        return await self._in_time(once)

    async def publish(self, batch: Sequence[Received], outcome: Outcome) -> None:
        """Write the rejects of a batch and publish its events, after those of the batch before."""
        in_a_row = self._rejects_in_a_row(batch, outcome)

        async def once() -> None:
            with STAGE_SECONDS.labels(self._consumer, "publish").time():
                await self._publisher.park(outcome.reject, self._consumer)
                await self._publisher.publish(outcome.publish)

        await self._in_time(once)
        self._rejected_in_a_row = in_a_row
        for dead in outcome.reject:
            REJECTED.labels(self._consumer, dead.received.topic).inc()
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

    def _rejects_in_a_row(self, batch: Sequence[Received], outcome: Outcome) -> int:
        """How many records up to the batch's end were rejected, with none accepted between.

        The count is only returned: a batch that is published again is counted again from the same
        start. Raises FuseBlown.
        """
        if not outcome.reject:
            return 0 if batch else self._rejected_in_a_row
        reasons = {id(dead.received): dead.reason for dead in outcome.reject}
        in_a_row = self._rejected_in_a_row
        for received in batch:
            reason = reasons.get(id(received))
            if reason is None:
                in_a_row = 0
                continue
            in_a_row += 1
            log.warning(
                "record rejected",
                topic=received.topic,
                partition=received.partition,
                offset=received.offset,
                reason=reason,
                correlation_id=received.correlation_id,
            )
            if in_a_row >= self._fuse:
                raise FuseBlown(
                    f"{in_a_row} records in a row were rejected, the last from {received.topic};"
                    " nothing of this batch was committed. Look at the reasons above."
                )
        return in_a_row
