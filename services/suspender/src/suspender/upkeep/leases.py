"""Short leases on servers: one replica works on a server at a time, and a killed one is replaced.

A lease is a row's `next_at` in the future (`ringfence.postgres.leases`).
"""

from collections.abc import Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from ringfence.clock import Clock
from ringfence.postgres.leases import LEASE, renewed_lease
from suspender.upkeep.server_tasks import ServerTasks

RENEWED_EVERY_S = 5.0
"""A slow server may take minutes; the lease is extended as long as it does."""


class LeaseStore(Protocol):
    """The rows of the servers that a loop works on, each with the instant at which it is due."""

    async def register(self, server_ids: Collection[str], now: datetime) -> None:
        """Have these servers worked on, and no others."""
        ...

    async def claim(
        self, server_ids: Collection[str], now: datetime, lease_until: datetime
    ) -> list[str]:
        """Those of the servers that are due; no other replica gets them before the lease ends."""
        ...

    async def renew(self, server_id: str, lease_until: datetime) -> None:
        """Extend the lease of a server that is still worked on."""
        ...


class LeasedServers:
    """The servers of one loop: those that are due are worked on, each in a task of its own."""

    def __init__(self, store: LeaseStore, server_ids: Collection[str], clock: Clock) -> None:
        self._store = store
        self._server_ids = list(server_ids)
        self._clock = clock
        self._tasks = ServerTasks()
        self._registered = False

    async def start_due(self, work: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """Start `work` on each server that is due. Raises what an earlier task raised.

        The task has to set when the server is due next; else it is due when the lease ends.
        """
        self._tasks.collect()
        now = self._clock.now()
        if not self._registered:
            await self._store.register(self._server_ids, now)
            self._registered = True
        free = [server_id for server_id in self._server_ids if not self._tasks.is_busy(server_id)]
        for server_id in await self._store.claim(free, now, now + LEASE):
            self._tasks.start(server_id, work(server_id))

    def renewed(self, server_id: str) -> AbstractAsyncContextManager[None]:
        """Extend the lease while the body runs. End the body before setting the next instant."""
        return renewed_lease(partial(self._renew, server_id), RENEWED_EVERY_S)

    async def _renew(self, server_id: str) -> None:
        await self._store.renew(server_id, self._clock.now() + LEASE)

    async def cancel(self) -> None:
        """Cancel all tasks; their servers are due again when the leases end."""
        await self._tasks.cancel()
