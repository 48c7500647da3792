"""The tokens in use: those of the settings, and those of the database, read every 2 seconds.

A token that is revoked, by this process or another, is refused within REFRESH_S, and so is that of
a session that ended. One that another process issued since then is found all the same: an unknown
token in the form of ours has them read again, at most once in UNKNOWN_S, however many are guessed.
While the database does not answer, the tokens that were read last stay in use: no route does
anything without it.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog

from accounts.access.scopes import Caller, SessionUse
from accounts.access.sessions.store import RENEWED_AFTER, SessionStore
from accounts.access.store import TokenStore
from accounts.access.tokens import UNGUESSABLE, ApiToken, find_token
from ringfence.clock import Clock
from ringfence.transient import TRANSIENT_ERRORS

REFRESH_S = 2.0
UNKNOWN_S = 0.25
_READ_S = 2.0
log = structlog.get_logger()


class TokenDirectory:
    """Finds the caller who holds a token."""

    def __init__(
        self,
        settled: Sequence[ApiToken],
        store: TokenStore,
        sessions: SessionStore,
        clock: Clock,
    ) -> None:
        """`settled`: the tokens of the settings."""
        self._settled = tuple(settled)
        self._store = store
        self._sessions = sessions
        self._clock = clock
        self._read: tuple[ApiToken, ...] = ()
        self._noted: set[UUID] = set()
        self._due_at = 0.0
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def find(self, presented: bytes) -> Caller | None:
        """The caller whose token was `presented`; None for one that is not in use."""
        await self._refresh()
        found = self._find(presented)
        if found is None and presented.startswith(b"rf_") and len(presented) >= UNGUESSABLE:
            found = await self._find_new(presented)
        if found is not None:
            await self._note_use(found)
        return found

    def expire(self) -> None:
        """Read the tokens again before the next request: they were changed."""
        self._due_at = 0.0

    def _find(self, presented: bytes) -> Caller | None:
        return find_token((*self._settled, *self._read), presented, self._clock.now())

    async def _find_new(self, presented: bytes) -> Caller | None:
        """Read the tokens again for one that is not known, but not at once after the last time."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        async with self._reading:
            if self._read_at <= asked_at:
                await asyncio.sleep(max(0.0, self._read_at + UNKNOWN_S - loop.time()))
                await self._read_tokens()
        return self._find(presented)

    async def _note_use(self, caller: Caller) -> None:
        """Write the use of a session or a token if the last one that was written is old."""
        use = caller.session or caller.token
        if use is None:  # a token of the settings
            return
        if use.used_at is not None and self._clock.now() - use.used_at < RENEWED_AFTER:
            return
        used_id = use.session_id if isinstance(use, SessionUse) else use.token_id
        if used_id in self._noted:
            return
        self._noted.add(used_id)  # until the tokens are read again, with this use
        store = self._sessions if isinstance(use, SessionUse) else self._store
        try:
            async with asyncio.timeout(_READ_S):
                await store.note_use(used_id)
        except TRANSIENT_ERRORS as error:
            log.warning("use of a session not written", reason=repr(error))

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._due_at:
            return
        async with self._reading:
            if loop.time() < self._due_at:
                return
            await self._read_tokens()

    async def _read_tokens(self) -> None:
        self._read_at = asyncio.get_running_loop().time()
        self._due_at = self._read_at + REFRESH_S
        try:
            async with asyncio.timeout(_READ_S):
                tokens = await self._store.in_use()
                self._read = (*tokens, *await self._sessions.in_use())
                self._noted.clear()
        except TRANSIENT_ERRORS as error:
            log.warning("tokens not read; those read before stay in use", reason=repr(error))
