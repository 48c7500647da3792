"""The daily reminder, if it is configured: once a day while the balance stays low."""

import asyncio

from notifier.owed import store as owed_store
from notifier.owed.notice import reminder
from notifier.store import MailStore
from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress

_EVERY_S = 60.0
_BATCH = 500
_DAY_S = 86_400


class ReminderLoop:
    """Adds due reminders to the queue; each is decided again when it is sent."""

    def __init__(
        self, store: MailStore, *, clock: Clock, wake: asyncio.Event, progress: Progress
    ) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Add reminders every minute until `stop` is set; retry while the database is away."""
        await run_loop(
            stop,
            self.add_due,
            "reminders wait for the database",
            progress=self._progress,
            every_s=_EVERY_S,
            full_batch=_BATCH,
        )

    async def add_due(self) -> int:
        """Queue the reminders that are due now; returns how many, at most a batch."""
        now, added = self._clock.now(), 0
        async with self._store.transaction() as connection:
            for first, sent_at in await owed_store.mails_to_remind(connection, now, _BATCH):
                day = int((now - sent_at).total_seconds()) // _DAY_S
                added += await owed_store.add(connection, reminder(first.notice, day, now), now)
        if added:
            self._wake.set()
        return added
