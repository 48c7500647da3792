"""The loop that rates calls of the unrated queue which are marked for another attempt.

A mark is set by an operator, or by rating when it receives an account or a tariff that may resolve
a recent call. A call is rated and unmarked, and its events are written to the outbox, in one
transaction: a kill leaves the mark, and the next run repeats the attempt.
"""

import asyncio
from typing import Protocol

from prometheus_client import Gauge

from rating.unrated.store import MAX_REPLAYED, ReplayStore
from ringfence.loops import run_loop
from ringfence.observe.health import Progress

UNRATED = Gauge("ringfence_unrated_calls", "Calls in the unrated queue.", ["reason"])
UNRATED_OLDEST = Gauge(
    "ringfence_unrated_oldest_seconds", "How long the oldest call of the queue has waited."
)
UNRATED_TALK = Gauge(
    "ringfence_unrated_talk_seconds",
    "Talk time of the calls in the unrated queue, which nobody was charged for yet.",
    ["reason"],
)
UNRATED_AGE = Gauge(
    "ringfence_unrated_age_seconds",
    "How long the oldest call that waits for this reason has waited.",
    ["reason"],
)
POLL_EVERY_S = 0.5
COUNT_EVERY_S = 15.0


class Replays(Protocol):
    """The handler, which rates queued calls and processes no batch at the same time."""

    async def replay(self) -> int:
        """Rate some marked calls; how many there were."""
        ...


class Replayer:
    """The loop over marked calls; it also sets the metrics of the queue."""

    def __init__(self, *, rating: Replays, store: ReplayStore, progress: Progress) -> None:
        self._rating = rating
        self._store = store
        self._progress = progress
        self._count_at = 0.0
        self._reasons: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Rate marked calls until `stop` is set."""
        await run_loop(
            stop,
            self._turn,
            "replay waits",
            progress=self._progress,
            every_s=POLL_EVERY_S,
            full_batch=MAX_REPLAYED,
        )

    async def _turn(self) -> int:
        taken = await self._rating.replay()
        await self._count()
        return taken

    async def _count(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._count_at:
            return
        self._count_at = now + COUNT_EVERY_S
        waiting = await self._store.waiting()
        for gone in self._reasons - {row.reason for row in waiting}:
            for gauge in (UNRATED, UNRATED_TALK, UNRATED_AGE):
                gauge.labels(gone).set(0)
        for row in waiting:
            UNRATED.labels(row.reason).set(row.calls)
            UNRATED_TALK.labels(row.reason).set(row.billsec)
            UNRATED_AGE.labels(row.reason).set(row.oldest_s)
        self._reasons |= {row.reason for row in waiting}
        UNRATED_OLDEST.set(max((row.oldest_s for row in waiting), default=0))
