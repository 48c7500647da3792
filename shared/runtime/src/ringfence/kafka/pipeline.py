"""The batches in flight of one consumer: each step keeps their order, and the steps overlap.

Per batch: 1. decode, 2. handle (database commit), 3. publish (all deliveries awaited), 4. commit
offsets. A kill at any point leaves the offsets of every batch that has not reached 4 where they
were: these batches are read again and processed again, which changes nothing (docs/adr/0016).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic

from ringfence.kafka.failures.crash_ranges import BatchPart
from ringfence.kafka.processor import R, RecordProcessor
from ringfence.observe.metrics import BATCH_SECONDS, BATCH_SIZE
from ringfence_contracts.records import Outcome, Received

MAX_IN_FLIGHT = 3
"""One batch is published, the one after it is in the database, the next one is decoded."""

Commit = Callable[[], Awaitable[None]]
"""Commits the offsets behind a batch."""

Handle = Callable[[], Awaitable[Outcome]]
"""Handles a batch that is decoded."""


class BatchPipeline(Generic[R]):
    """Processes up to MAX_IN_FLIGHT batches at once, each step in their order.

    While one batch waits for the broker, the next one is in the database and the one after it is
    decoded, so that waiting and computing overlap. When a batch fails, the batches before it are
    finished and none after it goes on.
    """

    def __init__(self, processor: RecordProcessor[R], *, group: str) -> None:
        self._processor = processor
        self._group = group
        self._tasks: list[asyncio.Task[None]] = []
        self._last = _Steps.all_done()
        self._processed = 0
        self.in_flight = 0

    async def wait_for_room(self) -> None:
        """Wait until another batch may be started. Raises the error of a batch that failed."""
        self._see_finished()
        while len(self._tasks) >= MAX_IN_FLIGHT:
            await self._first_finished()

    async def start(self, part: BatchPart, commit: Commit) -> None:
        """Decode a batch now; handle, publish and commit it after the one before it.

        Raises the error of decoding, which is a bug, after it is stored as a crash.
        """
        batch = part.records
        handle = await self._handler_of(part)
        self.in_flight += len(batch)
        before, self._last = self._last, _Steps()
        processing = self._process(batch, handle, commit, before, self._last)
        self._tasks.append(asyncio.create_task(processing))

    async def _handler_of(self, part: BatchPart) -> Handle:
        if part.dead is not None:
            return partial(self._processor.reject_crashed, part)
        try:
            return partial(self._processor.handle, self._processor.read(part.records))
        except Exception as error:
            # What is in flight is before it: only after that the crash is at the right offset.
            await self.drain()
            await self._processor.crashed(part.records, error)
            raise

    async def drain(self) -> None:
        """Wait until no batch is in flight. Raises the error of a batch that failed."""
        while self._tasks:
            await self._first_finished()

    async def wait_idle(self, bound_s: float) -> None:
        """Wait for the batches in flight, at most `bound_s`; `drain` raises their errors."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=bound_s)

    async def cancel(self) -> None:
        """Abandon the batches in flight: their offsets stay, so they are delivered again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def take_processed(self) -> int:
        """How many records were processed since the last call."""
        count, self._processed = self._processed, 0
        return count

    async def _process(
        self,
        batch: Sequence[Received],
        handle: Handle,
        commit: Commit,
        before: "_Steps",
        done: "_Steps",
    ) -> None:
        await before.handled.wait()
        try:
            with BATCH_SECONDS.labels(self._group).time():
                outcome = await handle()
                done.handled.set()
                await before.published.wait()
                await self._processor.publish(batch, outcome)
                await commit()
                await self._processor.committed(batch)
        except Exception as error:
            await self._processor.crashed(batch, error)
            raise
        done.published.set()
        BATCH_SIZE.labels(self._group).observe(len(batch))
        self._processed += len(batch)
        self.in_flight -= len(batch)

    async def _first_finished(self) -> None:
        await asyncio.wait(self._tasks[:1])
        self._see_finished()

    def _see_finished(self) -> None:
        while self._tasks and self._tasks[0].done():
            self._tasks.pop(0).result()


class _Steps:
    """The steps that a batch completed. After a failure they stay unset: later batches wait."""

    def __init__(self) -> None:
        self.handled = asyncio.Event()
        self.published = asyncio.Event()

    @classmethod
    def all_done(cls) -> "_Steps":
        """The steps of the batch before the first one."""
        steps = cls()
        steps.handled.set()
        steps.published.set()
        return steps
