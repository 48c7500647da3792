"""Random outbound calls of the simulated FusionPBX's extensions."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ringfence_simulators.fusionpbx.calls import FusionPbxCallSpec
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.things import SimulatedExtension
from ringfence_simulators.traffic import DESTINATIONS, RateLoop, check_rate

MAX_CALLS_PER_SECOND = 500.0


@dataclass(frozen=True)
class TrafficPlan:
    """The callers, their common rate, and the durations. Calls are recorded as just ended."""

    extensions: Sequence[SimulatedExtension]
    calls_per_second: float
    talk_s: tuple[int, int] = (20, 240)
    destinations: Sequence[str] = DESTINATIONS
    answered: float = 0.85
    seed: int | None = None

    def __post_init__(self) -> None:
        check_rate(self.calls_per_second, MAX_CALLS_PER_SECOND)
        if not self.extensions:
            raise ValueError("extensions: at least one")


class FusionPbxTraffic:
    """One stream of random calls."""

    def __init__(self, pbx: SimulatedFusionPbx) -> None:
        self._pbx = pbx
        self._loop = RateLoop()
        self.plan: TrafficPlan | None = None
        self.placed = 0

    def start(self, plan: TrafficPlan) -> None:
        """Place calls by this plan; an earlier one ends."""
        self.plan, dice = plan, random.Random(plan.seed)

        async def call() -> None:
            self.try_call(plan, dice)

        self._loop.start(plan.calls_per_second, call)

    async def stop(self) -> None:
        """End the stream."""
        self.plan = None
        await self._loop.stop()

    def try_call(self, plan: TrafficPlan, dice: random.Random) -> None:
        """Place a call from a random extension, or count a refused call if it is suspended."""
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


def outbound(extension: SimulatedExtension, destination: str, billsec: int) -> FusionPbxCallSpec:
    """The record of an outbound call of an extension."""
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
