"""The daily reminder, where it is set: once a day for as long as a stay lasts."""

import asyncio

import structlog

from notifier.owed import store as owed_store
from notifier.owed.notice import reminder
from notifier.store import MailStore
from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress

_EVERY_S = 60.0
_AT_ONCE = 500
_DAY_S = 86_400
log = structlog.get_logger()


class ReminderLoop:
    """Owes reminders; whether each is still true is decided when it is sent."""

    def __init__(
        self, store: MailStore, *, clock: Clock, wake: asyncio.Event, progress: Progress
    ) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Look every minute until `stop` is set; a lost database is waited for."""
        await run_loop(
            stop,
            self.look,
            "reminders wait for the database",
            progress=self._progress,
            every_s=_EVERY_S,
            full_batch=_AT_ONCE,
        )

    async def look(self) -> int:
        """Owe the reminders that are due now; how many."""
        now, added = self._clock.now(), 0
        async with self._store.transaction() as connection:
            for first, sent_at in await owed_store.mails_to_remind(connection, now, _AT_ONCE):
                day = int((now - sent_at).total_seconds()) // _DAY_S
                added += await owed_store.add(connection, reminder(first.notice, day, now), now)
        if added:
            self._wake.set()
        return added
