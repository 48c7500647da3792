"""Takes up calls of the unrated queue that are marked for another attempt, and watches the queue.

A mark is set by an operator, or by rating itself when an account or a tariff came that a recent
call may have waited for. Settled, told and unmarked in one transaction: a kill changes nothing.
"""

import asyncio
from typing import Protocol

import structlog
from prometheus_client import Gauge

from rating.unrated.store import AT_ONCE, ReplayStore
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
LOOK_EVERY_S = 0.5
COUNT_EVERY_S = 15.0
log = structlog.get_logger()


class Replays(Protocol):
    """Who settles calls of the queue: the handler, which does nothing else meanwhile."""

    async def replay(self) -> int:
        """Take up some marked calls; how many there were."""
        ...


class Replayer:
    """The loop that works the queue off."""

    def __init__(self, *, rating: Replays, store: ReplayStore, progress: Progress) -> None:
        self._rating = rating
        self._store = store
        self._progress = progress
        self._count_at = 0.0
        self._reasons: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Take up what is marked until `stop` is set; while the database is unwell, wait."""
        await run_loop(
            stop,
            self._turn,
            "replay waits",
            progress=self._progress,
            every_s=LOOK_EVERY_S,
            full_batch=AT_ONCE,
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
