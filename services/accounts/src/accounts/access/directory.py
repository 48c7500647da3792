"""The tokens in use: those of the settings, and those of the database, read every 2 seconds.

A token that is revoked, by this process or another, is refused within REFRESH_S. While the database
does not answer, the tokens that were read last stay in use: no route does anything without it.
"""

import asyncio
from collections.abc import Sequence

import structlog

from accounts.access.scopes import Caller
from accounts.access.store import TokenStore
from accounts.access.tokens import ApiToken, find_token
from ringfence.clock import Clock
from ringfence.transient import TRANSIENT_ERRORS

REFRESH_S = 2.0
_READ_S = 2.0
log = structlog.get_logger()


class TokenDirectory:
    """Finds the caller who holds a token."""

    def __init__(self, settled: Sequence[ApiToken], store: TokenStore, clock: Clock) -> None:
        """`settled`: the tokens of the settings."""
        self._settled = tuple(settled)
        self._store = store
        self._clock = clock
        self._read: tuple[ApiToken, ...] = ()
        self._due_at = 0.0
        self._reading = asyncio.Lock()

    async def find(self, presented: bytes) -> Caller | None:
        """The caller whose token was `presented`; None for one that is not in use."""
        await self._refresh()
        return find_token((*self._settled, *self._read), presented, self._clock.now())

    def expire(self) -> None:
        """Read the tokens again before the next request: they were changed."""
        self._due_at = 0.0

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._due_at:
            return
        async with self._reading:
            if loop.time() < self._due_at:
                return
            self._due_at = loop.time() + REFRESH_S
            try:
                async with asyncio.timeout(_READ_S):
                    self._read = await self._store.in_use()
            except TRANSIENT_ERRORS as error:
                log.warning("tokens not read; those read before stay in use", reason=repr(error))
