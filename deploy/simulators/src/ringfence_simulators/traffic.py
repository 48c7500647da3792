"""Random calls at a steady rate: what the traffic of the simulated PBXs has in common."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

_TICK_S = 0.05

DESTINATIONS = tuple(f"1{area}55501{n:02d}" for area in (416, 519, 604) for n in range(20))
"""Numbers that the North American plan reserves for fiction."""


def check_rate(calls_per_second: float, highest: float) -> None:
    """Raises ValueError unless the rate is above 0 and at most `highest`."""
    if not 0 < calls_per_second <= highest:
        raise ValueError(f"calls_per_second: more than 0, at most {highest:g}")


class RateLoop:
    """Runs a function at a steady rate in a task of its own, until it is stopped."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._task is not None

    def start(self, per_second: float, call: Callable[[], Awaitable[None]]) -> None:
        """Run `call` from now on; an earlier one is cancelled."""
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._run(per_second, call))

    async def stop(self) -> None:
        """Cancel it and wait for its end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, per_second: float, call: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        started, tried = loop.time(), 0
        while True:
            await asyncio.sleep(_TICK_S)
            due = int((loop.time() - started) * per_second)
            for _ in range(due - tried):
                await call()
            tried = due
