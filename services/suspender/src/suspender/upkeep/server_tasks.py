"""Tasks on many servers at the same time, at most one on each."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class ServerTasks:
    """The running tasks by server, so that a slow server delays no other."""

    def __init__(self) -> None:
        self._busy: dict[str, asyncio.Task[None]] = {}

    def is_busy(self, server_id: str) -> bool:
        """Whether a task runs on this server."""
        return server_id in self._busy

    def start(self, server_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Start a task on a server that is not busy."""
        assert server_id not in self._busy
        self._busy[server_id] = asyncio.create_task(work)

    def collect(self) -> None:
        """Remove the tasks that ended. Raises what a task raised: a bug must not vanish."""
        for server_id, task in list(self._busy.items()):
            if task.done():
                del self._busy[server_id]
                task.result()

    async def cancel(self) -> None:
        """Cancel all tasks. They only read servers, so nothing is left half done."""
        for task in self._busy.values():
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
        self._busy.clear()
