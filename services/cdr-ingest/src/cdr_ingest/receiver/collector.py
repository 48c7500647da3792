"""Gathers posts into batches, so that many share one trip to the broker and the database."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from cdr_ingest.metrics import PUSH_QUEUE
from cdr_ingest.sources.source import SourceRecord
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import Retry

_IDLE_S = 0.2
_RESTS_S = 1.0
_AT_ONCE = 3
log = structlog.get_logger()

_Waiting = tuple[SourceRecord, "asyncio.Future[None]"]


class Collector:
    """A few batches at a time are made safe, so that one slow commit holds up few posts.

    `take` makes a batch safe, or raises; it is given `take_bound_s`. After a failure, what comes
    is refused for a second instead of being let wait for the next one.
    """

    def __init__(
        self,
        *,
        take: Callable[[Sequence[SourceRecord]], Awaitable[object]],
        progress: Progress,
        batch_records: int,
        places: int,
        linger_s: float = 0.005,
        take_bound_s: float = 10.0,
    ) -> None:
        self._take = take
        self._progress = progress
        self._batch_records = batch_records
        self._linger_s = linger_s
        self._take_bound_s = take_bound_s
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(places)
        self._rests_until = 0.0

    async def safe(self, record: SourceRecord) -> None:
        """Return once the broker has the record and it is noted.

        Raises Retry when it has not: the queue is full, or broker or database are unwell. It may
        become safe later all the same; sending it again changes nothing.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._rests_until:
            raise Retry("broker or database are unwell")
        waiting: asyncio.Future[None] = loop.create_future()
        try:
            self._queue.put_nowait((record, waiting))
        except asyncio.QueueFull:
            raise Retry(f"{self._queue.maxsize} records are waiting already") from None
        await waiting

    async def run(self, stop: asyncio.Event) -> None:
        """Make batches safe until `stop` is set; set it once nobody waits any more."""
        slots = asyncio.Semaphore(_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                while not stop.is_set():
                    async with slots:  # what comes meanwhile gathers in one batch
                        batch = await self._gather()
                    if batch:
                        await slots.acquire()
                        group.create_task(self._settle(batch)).add_done_callback(
                            lambda _: slots.release()
                        )
                    self._progress.turned(read=len(batch))
        finally:
            _answer(self._waiting(self._queue.qsize()), Retry("the receiver has ended"))

    async def _gather(self) -> list[_Waiting]:
        try:
            first = await asyncio.wait_for(self._queue.get(), _IDLE_S)
        except TimeoutError:
            return []
        batch = [first, *self._waiting(self._batch_records - 1)]
        if len(batch) < self._batch_records:
            await asyncio.sleep(self._linger_s)
            batch += self._waiting(self._batch_records - len(batch))
        return batch

    def _waiting(self, limit: int) -> list[_Waiting]:
        return [self._queue.get_nowait() for _ in range(min(limit, self._queue.qsize()))]

    async def _settle(self, batch: Sequence[_Waiting]) -> None:
        PUSH_QUEUE.set(self._queue.qsize())
        unsafe: Exception | None = Retry("the receiver has ended")
        try:
            async with asyncio.timeout(self._take_bound_s):
                await self._take([record for record, _ in batch])
            unsafe = None
        except TRANSIENT_ERRORS as error:
            self._rests_until = asyncio.get_running_loop().time() + _RESTS_S
            log.warning("posts not safe", records=len(batch), reason=repr(error))
            unsafe = Retry("broker or database are unwell")
        finally:
            _answer(batch, unsafe)


def _answer(batch: Sequence[_Waiting], unsafe: Exception | None) -> None:
    for _, waiting in batch:
        if waiting.done():  # whoever waited has given up
            continue
        if unsafe is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(unsafe)
