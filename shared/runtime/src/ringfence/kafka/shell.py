"""What both shells do with a batch: the three verdicts, the dead letters, the fuse."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import asyncpg
import stamina
import structlog
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError

from ringfence.kafka.publisher import Publisher
from ringfence.observe.metrics import EVENTS, REJECTED, RETRIES, STAGE_SECONDS
from ringfence_contracts.errors import (
    EXIT_BUG,
    EXIT_FUSE,
    EXIT_SETTINGS,
    EXIT_TEMPORARY,
    BadInput,
    FuseBlown,
    Retry,
)
from ringfence_contracts.records import Outcome, Received

RETRY_BOUND_S = 20.0
"""Shorter than the group's rebalance time-out, so that a waiting consumer is not thrown out."""

FUSE = 500
"""So many rejected records in a row, with none accepted between, stop the process."""

UNWELL: tuple[type[Exception], ...] = (
    Retry,
    ConnectionError,
    TimeoutError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InvalidAuthorizationSpecificationError,  # a password or a certificate that is
    ssl.SSLError,  # being replaced while we run; at the start `postgres.refusal` says which
    asyncpg.InternalClientError,  # a backend that was ended in the middle of a message
)
"""What says that the world is unwell. Anything else that a handler lets out is a bug."""

R = TypeVar("R")
T = TypeVar("T")

log = structlog.get_logger()


def _unread(batch: Sequence[Received]) -> Any:
    return batch


class Shell(Generic[R]):
    """Runs a handler on batches until each is safe: done, told, and its rejects parked.

    A handler takes what `read` makes of a batch, again and again if the world is unwell; without
    `read`, the batch itself.
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
        """Read `batch`: no more than its bytes is needed for it, and it may be done early."""
        with STAGE_SECONDS.labels(self._consumer, "read").time():
            return self._read(batch)

    async def settle(self, batch: Sequence[Received]) -> None:
        """Handle `batch` and tell of it; when this returns, its offsets may be committed.

        Raises Retry (or another of UNWELL) when the world stayed unwell for longer than the
        bound, FuseBlown, or whatever bug the handler has.
        """
        await self.tell(batch, await self.handle(self.read(batch)))

    async def handle(self, read: R) -> Outcome:
        """Do a batch's work in the database. The batch before it must have been handled."""

        async def once() -> Outcome:
            with STAGE_SECONDS.labels(self._consumer, "handle").time():
                return await self._handler(read)

        return await self._in_time(once)

    async def tell(self, batch: Sequence[Received], outcome: Outcome) -> None:
        """Park and publish what came of a batch. The batch before it must have been told."""
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
        """Try until it is done, in place, backed off and bounded."""
        async for attempt in stamina.retry_context(
            on=UNWELL,
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
        """How many were rejected without one accepted between, up to the batch's end.

        Nothing is kept yet: a batch that is tried again is counted again. Raises FuseBlown.
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


def exit_status(error: BaseException, **where: object) -> int:
    """The status with which a process ends by this failure; why is logged, with `where`."""
    if isinstance(error, FuseBlown):
        log.error("fuse blown", reason=str(error), **where)
        return EXIT_FUSE
    if isinstance(error, BadInput):
        log.error("a setting is refused", reason=str(error), **where)
        return EXIT_SETTINGS
    if isinstance(error, UNWELL):
        log.error("the world stayed unwell", reason=repr(error), **where)
        return EXIT_TEMPORARY
    log.error("a bug", exc_info=error, **where)
    return EXIT_BUG


async def wait_or_stop(stop: asyncio.Event, seconds: float) -> bool:
    """Wait for `seconds`, or less if `stop` is set; whether it is."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
