"""A line of batches: each step takes them in their order, and no step waits for another's."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic

from ringfence.kafka.shell import R, Shell
from ringfence.observe.metrics import BATCH_SECONDS, BATCH_SIZE
from ringfence_contracts.records import Received

IN_HAND = 3
"""Batches at once: one being told, the one after it in the database, the next one read."""

Commit = Callable[[], Awaitable[None]]
"""Moves the offsets past a batch."""


class Line(Generic[R]):
    """The batches in hand of one consumer.

    A batch is read while the one before it is in the database, and that one while the one before
    it is told: neither broker nor database is waited for while there is something to compute.
    Where a batch fails, none that comes after it goes on, and those before it are finished.
    """

    def __init__(self, shell: Shell[R], *, group: str) -> None:
        self._shell = shell
        self._group = group
        self._tasks: list[asyncio.Task[None]] = []
        self._last = _Steps.all_done()
        self._settled = 0
        self.in_hand = 0

    async def room_for_one(self) -> None:
        """Wait until another batch may be begun. Raises what one in hand failed with."""
        self._see_finished()
        while len(self._tasks) >= IN_HAND:
            await self._first_finished()

    def begin(self, batch: Sequence[Received], commit: Commit) -> None:
        """Read a batch, and have it handled, told and committed after the one before it."""
        self.in_hand += len(batch)
        before, self._last = self._last, _Steps()
        settling = self._settle(batch, self._shell.read(batch), commit, before, self._last)
        self._tasks.append(asyncio.create_task(settling))

    async def empty(self) -> None:
        """Wait until none is in hand. Raises what one of them failed with."""
        while self._tasks:
            await self._first_finished()

    async def at_rest(self, bound_s: float) -> None:
        """Wait for those in hand, `bound_s` at most; what one failed with, `empty` raises."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=bound_s)

    async def give_up(self) -> None:
        """Abandon what is in hand: its offsets stay, and it comes again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def settled(self) -> int:
        """How many records were settled since the last time."""
        count, self._settled = self._settled, 0
        return count

    async def _settle(
        self,
        batch: Sequence[Received],
        read: R,
        commit: Commit,
        before: "_Steps",
        done: "_Steps",
    ) -> None:
        await before.handled.wait()
        with BATCH_SECONDS.labels(self._group).time():
            outcome = await self._shell.handle(read)
            done.handled.set()
            await before.told.wait()
            await self._shell.tell(batch, outcome)
            await commit()
        done.told.set()
        BATCH_SIZE.labels(self._group).observe(len(batch))
        self._settled += len(batch)
        self.in_hand -= len(batch)

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
        self.told = asyncio.Event()

    @classmethod
    def all_done(cls) -> "_Steps":
        """Of the batch before the first."""
        steps = cls()
        steps.handled.set()
        steps.told.set()
        return steps
