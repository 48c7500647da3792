"""Mails in flight: a process that has to exit finishes them first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

log = structlog.get_logger()


class MailsInFlight:
    """Counts the mails that senders have begun. After `finish`, no further mail is begun."""

    def __init__(self, *, longest_s: float) -> None:
        self._longest_s = longest_s
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self.closing = False

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Count one mail, from its offer until the server's reply is saved."""
        self._count += 1
        self._none.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()

    async def finish(self) -> None:
        """Wait until no mail is in flight, at most as long as one mail can take."""
        self.closing = True
        if self._count:
            log.info("finishing mails before the process ends", mails=self._count)
        try:
            await asyncio.wait_for(self._none.wait(), self._longest_s)
        except TimeoutError:
            log.warning("mails are cut: the server did not answer in time", mails=self._count)
