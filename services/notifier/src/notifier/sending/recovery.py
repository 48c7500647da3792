"""Recovers mails whose sender process ended while it sent their text, and measures unsent mails."""

import asyncio

from notifier.metrics import OLDEST_UNSENT_SECONDS, UNSENT
from notifier.sending.attempts import Reply, RetryPolicy, decide_outcome
from notifier.sending.events import events_of
from notifier.sending.reporting import report
from notifier.store import MailStore
from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress

_EVERY_S = 5.0
_WATCHED = ("waiting", "in-doubt")
_NO_REPLY = Reply("unknown", "its sender ended before the server's answer to the mail was kept")


class RecoveryLoop:
    """Runs every few seconds. Any replica recovers the mails of all."""

    def __init__(
        self, store: MailStore, *, policy: RetryPolicy, clock: Clock, progress: Progress
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Recover and measure until `stop` is set; retry while the database is away."""
        await run_loop(
            stop,
            self.recover,
            "recovery waits for the database",
            progress=self._progress,
            every_s=_EVERY_S,
        )

    async def recover(self) -> None:
        """Decide the outcome of mails whose sender ended, then set the metrics of unsent mails."""
        for lease in await self._store.leases_in_use():
            await self._decide_orphaned(lease)
        await self._measure()

    async def _decide_orphaned(self, lease: int) -> None:
        async with self._store.transaction() as connection:
            for owed in await self._store.orphaned_mails(connection, lease):
                now = self._clock.now()
                outcome = decide_outcome(
                    _NO_REPLY,
                    attempts=owed.attempts,
                    due_at=owed.due_at,
                    now=now,
                    policy=self._policy,
                )
                events = events_of(owed, outcome, now)
                await self._store.save_outcome(
                    connection, owed.message_id, outcome, events, now=now, lease=lease
                )
                report(owed, outcome)

    async def _measure(self) -> None:
        unsent = {str(entry.state): entry for entry in await self._store.unsent()}
        now = self._clock.now()
        for state in _WATCHED:
            entry = unsent.get(state)
            age_s = (now - entry.oldest_at).total_seconds() if entry else 0.0
            UNSENT.labels(state).set(entry.count if entry else 0)
            OLDEST_UNSENT_SECONDS.labels(state).set(age_s)
