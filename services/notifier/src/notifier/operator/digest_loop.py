"""Queues the daily digest at its local time; exactly one of the replicas does it."""

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
    """Checks every 20 s whether a digest is due. `wake` is set when one was queued."""

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
        self._render: Callable[[DigestFacts], Rendered] = lambda digest: digest_mail(
            digest, layout, zone=zone, language=language
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Check until `stop` is set; retry while the database is away."""
        await run_loop(
            stop,
            self._step,
            "the digest waits for the database",
            progress=self._progress,
            every_s=_EVERY_S,
        )

    async def _step(self) -> None:
        await self.add_if_due()

    async def add_if_due(self) -> bool:
        """Queue the digest that is due, unless it was queued before; returns whether it was."""
        now = self._clock.now()
        due = due_day(now, self._at, self._zone)
        if due is None:
            return False
        day, due_at = due
        message_id = derive("mail", "digest", self._recipient, day.isoformat())
        if await is_written(self._pool, message_id):
            return False
        content = self._render(await read_digest(self._pool, due_at - _DAY, due_at))
        added = await add_digest(self._pool, message_id, self._recipient, content, now)
        if added:
            log.info("the daily digest was written", day=day.isoformat())
            self._wake.set()
        return added
