"""Random outbound calls of the simulated Vodia's extensions."""

import random
from collections.abc import Awaitable, Callable, Sequence

from ringfence_simulators.traffic import DESTINATIONS, RateLoop, check_rate
from ringfence_simulators.vodia.calls import SimulatedVodiaCall
from ringfence_simulators.vodia.model import SimulatedVodia, SimulatedVodiaExtension

MAX_CALLS_PER_SECOND = 200.0


class VodiaTraffic:
    """One stream of random outbound calls; each is recorded as just ended, and posted."""

    def __init__(
        self, pbx: SimulatedVodia, post: Callable[[SimulatedVodiaCall], Awaitable[None]]
    ) -> None:
        self._pbx = pbx
        self._post = post
        self._loop = RateLoop()
        self.placed = 0

    @property
    def running(self) -> bool:
        """Whether extensions are calling."""
        return self._loop.running

    def start(
        self, calls_per_second: float, extensions: Sequence[SimulatedVodiaExtension] = ()
    ) -> None:
        """Let these extensions call, or all if none is given; an earlier stream ends."""
        check_rate(calls_per_second, MAX_CALLS_PER_SECOND)
        callers, dice = list(extensions) or list(self._pbx.extensions.values()), random.Random()

        async def call() -> None:
            await self.try_call(dice.choice(callers), dice)

        self._loop.start(calls_per_second, call)

    async def stop(self) -> None:
        """End the stream."""
        await self._loop.stop()

    async def try_call(self, extension: SimulatedVodiaExtension, dice: random.Random) -> None:
        """Place a call from an extension; if it is suspended, count a refused call instead."""
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
