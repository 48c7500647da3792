"""Telephones that go on calling until they are told to stop, or are not let."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from ringfence_simulators.vodia.calls import Call
from ringfence_simulators.vodia.model import Extension, Pbx

MAX_CALLS_PER_SECOND = 200.0
TICK_S = 0.05
DESTINATIONS = tuple(f"1{area}55501{n:02d}" for area in (416, 519, 604) for n in range(20))
"""Numbers that the North American plan keeps for fiction."""


class Traffic:
    """One stream of random outbound calls, put on record as just ended, and posted."""

    def __init__(self, pbx: Pbx, post: Callable[[Call], Awaitable[None]]) -> None:
        self._pbx = pbx
        self._post = post
        self._task: asyncio.Task[None] | None = None
        self.placed = 0

    @property
    def running(self) -> bool:
        """Whether anybody calls."""
        return self._task is not None

    def start(self, calls_per_second: float, extensions: Sequence[Extension] = ()) -> None:
        """Let these extensions call, or all; whoever called before stops."""
        if not 0 < calls_per_second <= MAX_CALLS_PER_SECOND:
            raise ValueError(f"calls_per_second: more than 0, at most {MAX_CALLS_PER_SECOND:g}")
        if self._task is not None:
            self._task.cancel()
        everybody = list(extensions) or list(self._pbx.extensions.values())
        self._task = asyncio.create_task(self._run(everybody, calls_per_second))

    async def stop(self) -> None:
        """Call no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, extensions: Sequence[Extension], calls_per_second: float) -> None:
        dice, loop = random.Random(), asyncio.get_running_loop()
        begun, tried = loop.time(), 0
        while True:
            await asyncio.sleep(TICK_S)
            due = int((loop.time() - begun) * calls_per_second)
            for _ in range(due - tried):
                await self.try_call(dice.choice(extensions), dice)
            tried = due

    async def try_call(self, extension: Extension, dice: random.Random) -> None:
        """One extension dials. A suspended one gets nowhere, and nothing is recorded."""
        if not self._pbx.can_call(extension)[0]:
            self._pbx.refused_calls += 1
            return
        call = self._pbx.place(
            {
                "domain": extension.domain,
                "extension": extension.number,
                "extension_name": extension.name,
                "number": dice.choice(DESTINATIONS),
                "trunk": extension.trunk or "10",
                "talk_s": round(dice.uniform(20, 240), 2) if dice.random() < 0.85 else 0,
            }
        )
        self.placed += 1
        await self._post(call)
