"""Finds mails whose sender died while it handed them over, and measures what is unsent."""

import asyncio

import structlog

from notifier.announce import announced
from notifier.attempts import Persistence, Reply, decide_fate
from notifier.journal import report
from notifier.metrics import OLDEST_UNSENT_SECONDS, UNSENT
from notifier.store import Store
from ringfence.clock import Clock
from ringfence.kafka.shell import UNWELL, wait_or_stop
from ringfence.observe.health import Progress

_EVERY_S = 5.0
_WATCHED = ("waiting", "pending", "in-doubt")
_NOT_KNOWN = Reply("unknown", "its sender ended before the server's answer to the mail was kept")
log = structlog.get_logger()


class RecoveryLoop:
    """Looks every few seconds; any replica may do it for all."""

    def __init__(
        self, store: Store, *, persistence: Persistence, clock: Clock, progress: Progress
    ) -> None:
        self._store = store
        self._persistence = persistence
        self._clock = clock
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set; a lost database is waited for."""
        while not stop.is_set():
            try:
                await self.look()
            except UNWELL as error:
                log.warning("recovery waits for the database", reason=repr(error))
            self._progress.turned()
            await wait_or_stop(stop, _EVERY_S)

    async def look(self) -> None:
        """Settle what dead senders left behind, then measure."""
        for lease in await self._store.leases_in_use():
            await self._settle_left_behind(lease)
        await self._measure()

    async def _settle_left_behind(self, lease: int) -> None:
        async with self._store.transaction() as connection:
            for message in await self._store.left_behind(connection, lease):
                now = self._clock.now()
                fate = decide_fate(
                    _NOT_KNOWN,
                    attempts=message.attempts,
                    created_at=message.created_at,
                    now=now,
                    persistence=self._persistence,
                )
                told = announced(message, fate, now)
                await self._store.settle(
                    connection, message.message_id, fate, told, now=now, lease=lease
                )
                report(message, fate.state, fate)

    async def _measure(self) -> None:
        unsent = {entry.state: entry for entry in await self._store.unsent()}
        now = self._clock.now()
        for state in _WATCHED:
            entry = unsent.get(state)  # type: ignore[call-overload]
            age_s = (now - entry.oldest_at).total_seconds() if entry else 0.0
            UNSENT.labels(state).set(entry.count if entry else 0)
            OLDEST_UNSENT_SECONDS.labels(state).set(age_s)
