"""Looks for waiting payments that accounts holds by now, and has them posted.

A claim publishes its payment again, which posts it at once. This loop is for what comes otherwise:
a restore of accounts that brings payments back, a record of the claim that was lost.
"""

import asyncio
from typing import Protocol
from uuid import UUID

import structlog

from ringfence.loops import run_loop
from ringfence.observe.health import Progress

LOOK_EVERY_S = 5.0
log = structlog.get_logger()


class PostsClaimed(Protocol):
    """Who posts payments: the handler, which does nothing else meanwhile."""

    async def post_claimed(self, after: UUID) -> UUID | None:
        """Post a page of waiting payments; where the page ended, None after the last one."""
        ...


class ClaimLoop:
    """The loop over waiting payments."""

    def __init__(
        self, *, rating: PostsClaimed, progress: Progress, every_s: float = LOOK_EVERY_S
    ) -> None:
        self._rating = rating
        self._progress = progress
        self._every_s = every_s

    async def run(self, stop: asyncio.Event) -> None:
        """Look every so often until `stop` is set; after an error of the database, later."""
        await run_loop(
            stop,
            self.post_all,
            "waiting payments are tried again later",
            progress=self._progress,
            every_s=self._every_s,
        )

    async def post_all(self) -> None:
        """Post all waiting payments whose claim is good by now, page by page."""
        after: UUID | None = UUID(int=0)
        while after is not None:
            after = await self._rating.post_claimed(after)
