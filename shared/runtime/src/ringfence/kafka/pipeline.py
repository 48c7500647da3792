"""A line of batches: each step takes them in their order, and no step waits for another's."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic

from ringfence.kafka.processor import R, RecordProcessor
from ringfence.observe.metrics import BATCH_SECONDS, BATCH_SIZE
from ringfence_contracts.records import Received

MAX_IN_FLIGHT = 3
"""Batches at once: one being told, the one after it in the database, the next one read."""

Commit = Callable[[], Awaitable[None]]
"""Moves the offsets past a batch."""


class BatchPipeline(Generic[R]):
    """The batches in hand of one consumer.

    A batch is read while the one before it is in the database, and that one while the one before
    it is told: neither broker nor database is waited for while there is something to compute.
    Where a batch fails, none that comes after it goes on, and those before it are finished.
    """

    def __init__(self, processor: RecordProcessor[R], *, group: str) -> None:
        self._processor = processor
        self._group = group
        self._tasks: list[asyncio.Task[None]] = []
        self._last = _Steps.all_done()
        self._processed = 0
        self.in_flight = 0

    async def wait_for_room(self) -> None:
        """Wait until another batch may be begun. Raises what one in hand failed with."""
        self._see_finished()
        while len(self._tasks) >= MAX_IN_FLIGHT:
            await self._first_finished()

    def start(self, batch: Sequence[Received], commit: Commit) -> None:
        """Read a batch, and have it handled, told and committed after the one before it."""
        self.in_flight += len(batch)
        before, self._last = self._last, _Steps()
        processing = self._process(batch, self._processor.read(batch), commit, before, self._last)
        self._tasks.append(asyncio.create_task(processing))

    async def drain(self) -> None:
        """Wait until none is in hand. Raises what one of them failed with."""
        while self._tasks:
            await self._first_finished()

    async def wait_idle(self, bound_s: float) -> None:
        """Wait for those in hand, `bound_s` at most; what one failed with, `drain` raises."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=bound_s)

    async def cancel(self) -> None:
        """Abandon what is in hand: its offsets stay, and it comes again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def take_processed(self) -> int:
        """How many records were settled since the last time."""
        count, self._processed = self._processed, 0
        return count

    async def _process(
        self,
        batch: Sequence[Received],
        read: R,
        commit: Commit,
        before: "_Steps",
        done: "_Steps",
    ) -> None:
        await before.handled.wait()
        with BATCH_SECONDS.labels(self._group).time():
            outcome = await self._processor.handle(read)
            done.handled.set()
            await before.published.wait()
            await self._processor.publish(batch, outcome)
            await commit()
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
    """How far a batch got. Set only where a step succeeded: after a failure the line stands."""

    def __init__(self) -> None:
        self.handled = asyncio.Event()
        self.published = asyncio.Event()

    @classmethod
    def all_done(cls) -> "_Steps":
        """Of the batch before the first."""
        steps = cls()
        steps.handled.set()
        steps.published.set()
        return steps
