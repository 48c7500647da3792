"""What is measured of single clients: off, on again, and mailed, with calls in the background."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from figures import Figures
from load import one_call
from onlooker import Background, Onlooker, seen_within
from town import POLL_S, BenchClient, PbxCosts, Town

from ringfence.secret_files import SERVICES
from ringfence_contracts.topics import BALANCE_LOW, SERVICE_RESTORED, SERVICE_SUSPENDED
from ringfence_simulators.freeswitch.channel import new_channel
from ringfence_simulators.freeswitch.module import CdrModule, ModuleSettings

METERED = [BenchClient(number, "m", prepaid=False, opening="0") for number in range(20)]
"""Whose calls go on in the background: nobody is switched off for them."""

_EVERY_S = 1.0
"""Between one client's step and the next one's."""

_BOUND_S = 60.0
"""So long after the last step of a row, what is missing is waited for; then the row ends."""

_Step = Callable[[BenchClient], Awaitable[float]]
"""Does something to a client, and gives the instant from which on its effect is timed."""


@dataclass(frozen=True)
class SwitchingPlan:
    """How many clients, how many calls a second behind them, and how slow the PBX is."""

    samples: int
    rate: int
    costs: PbxCosts


async def switching(town: Town, figures: Figures, plan: SwitchingPlan) -> None:
    """All rows, one after the other, with the same clients."""
    clients = [BenchClient(number, "s", threshold="15") for number in range(plan.samples)]
    await town.settle([*METERED, *clients])
    await town.slow_down(plan.costs)
    metered = [client.account_id for client in METERED]
    async with (
        Onlooker(town) as onlooker,
        Background(town, metered, plan.rate),
        CdrModule(ModuleSettings(form="json", urls=(town.push_url,))) as module,
    ):
        rows = _Rows(town, figures, plan, clients, onlooker)
        await asyncio.sleep(2)  # the background calls are under way
        await rows.mails()
        await rows.off_by_push(module)
        await rows.on()
        await rows.off_by_pull()
        rows.memory()


class _Rows:
    """Each client has 20.00; a minute costs 10.00."""

    def __init__(
        self,
        town: Town,
        figures: Figures,
        plan: SwitchingPlan,
        clients: Sequence[BenchClient],
        onlooker: Onlooker,
    ) -> None:
        self._town = town
        self._figures = figures
        self._clients = clients
        self._onlooker = onlooker
        self._conditions = f"a client each {_EVERY_S:g} s, {plan.rate:,} CDR/s behind, {plan.costs}"

    async def mails(self) -> None:
        """A call of a minute leaves 10.00, below the threshold of 15."""
        begun = await self._steps("Mailing", self._publish_call)
        low = {c.account_id: c.email for c in self._clients}

        def took() -> dict[str, float]:
            mails = self._town.mails()
            crossed = {a: self._onlooker.of(BALANCE_LOW, a, begun[a]) for a in low}
            return {
                account_id: mails[email] - sight.published_at
                for account_id, email in low.items()
                if (sight := crossed[account_id]) and email in mails
            }

        await self._report("balance.low published -> SMTP accepted", took)

    def memory(self) -> None:
        """Of each service, when all that was done."""
        self._town.bed.add_memory(self._figures, SERVICES, self._conditions)

    async def _publish_call(self, client: BenchClient) -> float:
        await self._town.bed.publisher.publish([one_call(client.account_id, 60)])
        return time.time()

    async def off_by_push(self, module: CdrModule) -> None:
        """A call of two minutes ends, and the PBX posts it; 10.00 less 20.00."""

        async def end_call(client: BenchClient) -> float:
            spec = {"domain_name": client.tenant, "direction": "outbound", "extension": "2112"}
            number = {"destination_number": "14165550100", "caller_destination": "14165550100"}
            ended_at = time.time()
            await module.report(new_channel({**spec, **number, "billsec": 120}))
            return ended_at

        begun = await self._steps("Switching off by posted calls", end_call)
        await self._off("call ended and posted", begun)

    async def off_by_pull(self) -> None:
        """A call of four minutes ends, and is in the PBX's list from then on."""

        async def end_call(client: BenchClient) -> float:
            spec = {"domain_name": client.tenant, "direction": "outbound", "extension": "2112"}
            number = {"destination_number": "14165550100", "caller_destination": "14165550100"}
            ended_at = time.time()
            await self._town.pbx("POST", "calls", {**spec, **number, "billsec": 240})
            return ended_at

        begun = await self._steps("Switching off by pulled calls", end_call)
        await self._off(f"call ended, pulled every {POLL_S:g} s", begun)

    async def on(self) -> None:
        """A payment of 40.00."""

        async def pay(client: BenchClient) -> float:
            await self._town.top_up(client, "40.00", f"on-{client.account_id}-{time.time_ns()}")
            return time.time()

        begun = await self._steps("Switching on by top-ups", pay)
        await self._report(
            "top-up accepted -> service on, read back",
            lambda: {
                account_id: sight.read_at - at
                for account_id, at in begun.items()
                if (sight := self._onlooker.of(SERVICE_RESTORED, account_id, at))
            },
        )

    async def _off(self, what: str, begun: dict[str, float]) -> None:
        off_at = self._onlooker.off_at
        await self._report(
            f"{what} -> PBX off",
            lambda: {
                c.account_id: off_at[c.element] - begun[c.account_id]
                for c in self._clients
                if off_at.get(c.element, 0.0) >= begun[c.account_id]
            },
        )
        await self._report(
            f"{what} -> off, read back",
            lambda: {
                account_id: sight.read_at - at
                for account_id, at in begun.items()
                if (sight := self._onlooker.of(SERVICE_SUSPENDED, account_id, at))
            },
        )

    async def _steps(self, what: str, step: _Step) -> dict[str, float]:
        """Take a step with each client in turn, at a rate; when each was taken, by account."""
        self._town.console.print(f"{what}: {len(self._clients)} clients…")
        began, begun = time.monotonic(), {}
        for number, client in enumerate(self._clients):
            begun[client.account_id] = await step(client)
            next_at = began + (number + 1) * _EVERY_S
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        return begun

    async def _report(self, name: str, took: Callable[[], dict[str, float]]) -> None:
        await seen_within(_BOUND_S, lambda: len(took()) == len(self._clients))
        spread(self._figures, name, list(took().values()), len(self._clients), self._conditions)


def spread(
    figures: Figures, name: str, took_s: Sequence[float], wanted: int, conditions: str
) -> None:
    """Median, 99th percentile (of less than 100 the largest), and of how many."""
    if took_s:
        figures.add(f"{name}, p50", median(took_s) * 1000, "ms", conditions)
        largest = max(took_s) if len(took_s) < 100 else quantiles(took_s, n=100)[98]
        figures.add(f"{name}, p99", largest * 1000, "ms", conditions)
    figures.add(f"{name}, seen", len(took_s), f"of {wanted:,}", conditions)
