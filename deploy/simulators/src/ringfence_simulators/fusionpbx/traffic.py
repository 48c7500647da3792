"""Telephones that go on calling until they are told to stop, or are not let."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ringfence_simulators.fusionpbx.calls import CallSpec
from ringfence_simulators.fusionpbx.model import Pbx
from ringfence_simulators.fusionpbx.things import Extension

MAX_CALLS_PER_SECOND = 500.0
TICK_S = 0.05

DESTINATIONS = tuple(f"1{area}55501{n:02d}" for area in (416, 519, 604) for n in range(20))
"""Numbers that the North American plan keeps for fiction."""


@dataclass(frozen=True)
class TrafficPlan:
    """Who calls, how often altogether, and how long. Calls are put on record as just ended."""

    extensions: Sequence[Extension]
    calls_per_second: float
    talk_s: tuple[int, int] = (20, 240)
    destinations: Sequence[str] = DESTINATIONS
    answered: float = 0.85
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.calls_per_second <= MAX_CALLS_PER_SECOND:
            raise ValueError(f"calls_per_second: more than 0, at most {MAX_CALLS_PER_SECOND:g}")
        if not self.extensions:
            raise ValueError("extensions: at least one")


class Traffic:
    """One stream of random calls."""

    def __init__(self, pbx: Pbx) -> None:
        self._pbx = pbx
        self._task: asyncio.Task[None] | None = None
        self.plan: TrafficPlan | None = None
        self.placed = 0

    def start(self, plan: TrafficPlan) -> None:
        """Call on by this plan; an earlier one ends."""
        if self._task is not None:
            self._task.cancel()
        self.plan = plan
        self._task = asyncio.create_task(self._run(plan))

    async def stop(self) -> None:
        """Call no more."""
        task, self._task, self.plan = self._task, None, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, plan: TrafficPlan) -> None:
        dice = random.Random(plan.seed)
        loop = asyncio.get_running_loop()
        begun, tried = loop.time(), 0
        while True:
            await asyncio.sleep(TICK_S)
            due = int((loop.time() - begun) * plan.calls_per_second)
            for _ in range(due - tried):
                self.try_call(plan, dice)
            tried = due

    def try_call(self, plan: TrafficPlan, dice: random.Random) -> None:
        """One extension dials. A suspended one gets nowhere, and no row is written."""
        extension = dice.choice(plan.extensions)
        number = dice.choice(plan.destinations)
        allowed, _ = self._pbx.can_call(extension, number=number)
        if not allowed:
            self._pbx.refused_calls += 1
            return
        talks = dice.random() < plan.answered
        billsec = dice.randint(*plan.talk_s) if talks else 0
        self._pbx.place(outbound(extension, number, billsec))
        self.placed += 1


def outbound(extension: Extension, destination: str, billsec: int) -> CallSpec:
    """The row of a call that an extension made."""
    return {
        "domain_name": extension.domain,
        "direction": "outbound",
        "extension": extension.number,
        "extension_name": extension.caller_name,
        "caller_id_name": extension.caller_name,
        "caller_id_number": extension.number,
        "caller_destination": destination,
        "source_number": extension.caller_number or extension.number,
        "destination_number": destination,
        "billsec": billsec,
    }
