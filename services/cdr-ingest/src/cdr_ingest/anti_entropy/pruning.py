"""The loop that deletes the bytes of calls that need not be published again any more."""

import asyncio
from datetime import timedelta

from cdr_ingest.anti_entropy.store import PublishedCallStore
from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress

_EVERY_S = 30.0
_FULL = 20_000


class CallPruning:
    """Deletes calls that were published longer than `kept` ago."""

    def __init__(
        self, store: PublishedCallStore, *, kept: timedelta, clock: Clock, progress: Progress
    ) -> None:
        self._store = store
        self._kept = kept
        self._clock = clock
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Delete until `stop` is set, up to 20,000 calls at a time."""
        await run_loop(
            stop,
            self.prune,
            "pruning waits",
            progress=self._progress,
            every_s=_EVERY_S,
            full_batch=_FULL,
        )

    async def prune(self) -> int:
        """Delete the oldest of what is too old; how many calls."""
        return await self._store.prune(self._clock.now() - self._kept)
