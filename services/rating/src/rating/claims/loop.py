"""The loop that posts waiting payments which accounts holds by now.

A claim publishes its payment again, which posts it at once. This loop covers the other cases: a
restore of accounts that brings payments back, and a lost record of a claim.
"""

import asyncio
from typing import Protocol
from uuid import UUID

from ringfence.loops import run_loop
from ringfence.observe.health import Progress

POLL_EVERY_S = 5.0


class PostsClaimed(Protocol):
    """The handler, which posts payments and processes no batch at the same time."""

    async def post_claimed(self, after: UUID) -> UUID | None:
        """Post a page of waiting payments after this id; where it ended, None after the last."""
        ...


class ClaimLoop:
    """The loop over waiting payments."""

    def __init__(
        self, *, rating: PostsClaimed, progress: Progress, every_s: float = POLL_EVERY_S
    ) -> None:
        self._rating = rating
        self._progress = progress
        self._every_s = every_s

    async def run(self, stop: asyncio.Event) -> None:
        """Post what accounts holds, every `every_s` seconds until `stop` is set."""
        await run_loop(
            stop,
            self.post_all,
            "waiting payments are tried again later",
            progress=self._progress,
            every_s=self._every_s,
        )

    async def post_all(self) -> None:
        """Post all waiting payments that accounts holds, page by page."""
        after: UUID | None = UUID(int=0)
        while after is not None:
            after = await self._rating.post_claimed(after)
