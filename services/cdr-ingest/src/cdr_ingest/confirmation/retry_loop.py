"""The loop that asks again for the rows of a feed that wait.

For each row that is due:

1. Its call is ingested, if the source confirms it by now. A kill after this asks again, and the
   call is known by then.
2. The row is marked as confirmed, or its next attempt is planned; the event is written with it.
"""

import asyncio
from dataclasses import replace

import structlog

from cdr_ingest.confirmation.confirmer import RowConfirmer
from cdr_ingest.confirmation.store import UnconfirmedStore
from cdr_ingest.polling.feed import Feed
from cdr_ingest.polling.guarded import SourceReadError
from ringfence.loops import run_loop
from ringfence.observe.health import Progress

LOOK_EVERY_S = 5.0
log = structlog.get_logger()


class ConfirmationLoop:
    """Confirms waiting rows of one feed, with growing pauses."""

    def __init__(
        self,
        feed: Feed,
        confirmer: RowConfirmer,
        *,
        store: UnconfirmedStore,
        progress: Progress,
        every_s: float | None = None,
    ) -> None:
        self._feed = feed
        self._confirmer = confirmer
        self._store = store
        self._progress = progress
        self._every_s = LOOK_EVERY_S if every_s is None else every_s

    async def run(self, stop: asyncio.Event) -> None:
        """Ask for what is due, until `stop` is set."""
        await run_loop(
            stop,
            self.run_once,
            "unconfirmed rows wait",
            progress=self._progress,
            every_s=self._every_s,
        )

    async def run_once(self) -> None:
        """Ask once for every row that is due; an unreachable source ends the turn."""
        if self._feed.cooldown.remaining_s:
            return
        now = self._feed.clock.now()
        try:
            for row in await self._store.due(self._feed.server_id, self._feed.name, now):
                row = replace(row, attempts=row.attempts + 1)
                call_id = await self._confirmer.ask_again(row)
                if call_id is None:
                    await self._store.keep_waiting(row, self._feed.clock.now())
                else:
                    await self._store.confirm(row, call_id, self._feed.clock.now())
                self._progress.turned()
        except SourceReadError as error:
            log.warning("unconfirmed rows wait", lane=self._feed.name, reason=str(error))
