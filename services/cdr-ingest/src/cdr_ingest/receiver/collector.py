"""Collects posted records into batches, so that many share one write to Kafka and PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from cdr_ingest.metrics import PUSH_QUEUE
from cdr_ingest.sources.source import SourceRecord
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import Retry

_IDLE_S = 0.2
_PAUSE_S = 1.0
_CONCURRENT_BATCHES = 3
log = structlog.get_logger()

_Waiting = tuple[SourceRecord, "asyncio.Future[None]"]


class Collector:
    """Ingests up to three batches at a time, so that one slow commit delays few posts.

    `ingest` makes a batch safe or raises, within `ingest_timeout_s`. After a failure, records are
    refused at once for a second: they would wait for a batch that is likely to fail as well. At
    most `capacity` records wait; a batch waits `linger_s` to be filled.
    """

    def __init__(
        self,
        *,
        ingest: Callable[[Sequence[SourceRecord]], Awaitable[object]],
        progress: Progress,
        batch_records: int,
        capacity: int,
        linger_s: float = 0.005,
        ingest_timeout_s: float = 10.0,
    ) -> None:
        self._ingest = ingest
        self._progress = progress
        self._batch_records = batch_records
        self._linger_s = linger_s
        self._ingest_timeout_s = ingest_timeout_s
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(capacity)
        self._paused_until = 0.0

    async def submit(self, record: SourceRecord) -> None:
        """Return once the record is published and saved.

        Raises Retry when the queue is full, or Kafka or PostgreSQL fail. The record may still
        become safe later; a repeated post has no further effect.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._paused_until:
            raise Retry("Kafka or PostgreSQL cannot be reached")
        waiting: asyncio.Future[None] = loop.create_future()
        try:
            self._queue.put_nowait((record, waiting))
        except asyncio.QueueFull:
            raise Retry(f"{self._queue.maxsize} records are waiting already") from None
        await waiting

    async def run(self, stop: asyncio.Event) -> None:
        """Ingest batches until `stop` is set. Set it only when no caller of `submit` waits."""
        slots = asyncio.Semaphore(_CONCURRENT_BATCHES)
        try:
            async with asyncio.TaskGroup() as group:
                while not stop.is_set():
                    async with slots:  # records that arrive while all slots are busy form one batch
                        batch = await self._gather()
                    if batch:
                        await slots.acquire()
                        group.create_task(self._process_batch(batch)).add_done_callback(
                            lambda _: slots.release()
                        )
                    self._progress.turned(read=len(batch))
        finally:
            _resolve(self._queued(self._queue.qsize()), Retry("the receiver has ended"))

    async def _gather(self) -> list[_Waiting]:
        try:
            first = await asyncio.wait_for(self._queue.get(), _IDLE_S)
        except TimeoutError:
            return []
        batch = [first, *self._queued(self._batch_records - 1)]
        if len(batch) < self._batch_records:
            await asyncio.sleep(self._linger_s)
            batch += self._queued(self._batch_records - len(batch))
        return batch

    def _queued(self, limit: int) -> list[_Waiting]:
        return [self._queue.get_nowait() for _ in range(min(limit, self._queue.qsize()))]

    async def _process_batch(self, batch: Sequence[_Waiting]) -> None:
        PUSH_QUEUE.set(self._queue.qsize())
        failure: Exception | None = Retry("the receiver has ended")
        try:
            async with asyncio.timeout(self._ingest_timeout_s):
                await self._ingest([record for record, _ in batch])
            failure = None
        except TRANSIENT_ERRORS as error:
            self._paused_until = asyncio.get_running_loop().time() + _PAUSE_S
            log.warning("posts not safe", records=len(batch), reason=repr(error))
            failure = Retry("Kafka or PostgreSQL cannot be reached")
        finally:
            _resolve(batch, failure)


def _resolve(batch: Sequence[_Waiting], failure: Exception | None) -> None:
    for _, waiting in batch:
        if waiting.done():  # its post was cancelled or timed out
            continue
        if failure is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(failure)
