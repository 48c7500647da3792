"""Writes the daily digest when its local time has come; any replica may, and one does."""

import asyncio
from collections.abc import Callable
from datetime import time, timedelta

import structlog

from notifier.form.layout import Layout
from notifier.operator.digest import DigestFacts, digest_mail, due_day
from notifier.operator.store_digest import add_digest, is_written, read_digest
from notifier.template import Rendered
from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress
from ringfence.postgres.pool import Pool
from ringfence_contracts.ids import derive

_EVERY_S = 20.0
_DAY = timedelta(days=1)
log = structlog.get_logger()


class DigestLoop:
    """Looks a few times a minute whether a digest is due. `wake` wakes those who send mails."""

    def __init__(
        self,
        pool: Pool,
        *,
        recipient: str,
        at: time,
        zone: str,
        language: str,
        layout: Layout,
        clock: Clock,
        wake: asyncio.Event,
        progress: Progress,
    ) -> None:
        self._pool = pool
        self._recipient = recipient
        self._at = at
        self._zone = zone
        self._clock = clock
        self._wake = wake
        self._progress = progress
        self._words: Callable[[DigestFacts], Rendered] = lambda digest: digest_mail(
            digest, layout, zone=zone, language=language
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set; a lost database is waited for."""
        await run_loop(
            stop,
            self._turn,
            "the digest waits for the database",
            progress=self._progress,
            every_s=_EVERY_S,
        )

    async def _turn(self) -> None:
        await self.look()

    async def look(self) -> bool:
        """Write the digest that is due, if there is one that was not written; whether it was."""
        now = self._clock.now()
        due = due_day(now, self._at, self._zone)
        if due is None:
            return False
        day, due_at = due
        message_id = derive("mail", "digest", self._recipient, day.isoformat())
        if await is_written(self._pool, message_id):
            return False
        words = self._words(await read_digest(self._pool, due_at - _DAY, due_at))
        added = await add_digest(self._pool, message_id, self._recipient, words, now)
        if added:
            log.info("the daily digest was written", day=day.isoformat())
            self._wake.set()
        return added
