"""Work on many servers at the same time, at most one piece at a time on each."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from ringfence.transient import TRANSIENT_ERRORS


@asynccontextmanager
async def renewed_lease(
    renew: Callable[[], Awaitable[None]], every_s: float
) -> AsyncIterator[None]:
    """Renew a lease while a piece of work is under way, so that it can be short.

    While the database does not answer it is not renewed: then another process may begin.
    """

    async def renew_on() -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await renew()
            except TRANSIENT_ERRORS:
                continue

    renewing = asyncio.create_task(renew_on())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


class ServerTasks:
    """The pieces of work that are under way, by server. A slow server delays no other."""

    def __init__(self) -> None:
        self._busy: dict[str, asyncio.Task[None]] = {}

    def is_busy(self, server_id: str) -> bool:
        """Whether a piece of work is under way on this server."""
        return server_id in self._busy

    def start(self, server_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Begin on a server that is not busy."""
        assert server_id not in self._busy
        self._busy[server_id] = asyncio.create_task(work)

    def collect(self) -> None:
        """Remove what has ended. Raises what a piece of work raised: a bug must not vanish."""
        for server_id, task in list(self._busy.items()):
            if task.done():
                del self._busy[server_id]
                task.result()

    async def cancel(self) -> None:
        """End all work at once: it only reads servers, so nothing is left half done."""
        for task in self._busy.values():
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
        self._busy.clear()
