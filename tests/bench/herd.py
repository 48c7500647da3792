"""What is measured when very many clients run out of money within one second."""

import asyncio
import time
from dataclasses import dataclass
from typing import Literal

from figures import Figures
from load import one_call
from onlooker import Background, Onlooker, seen_within
from switching import METERED
from town import BenchClient, PbxCosts, Town

from ringfence_contracts.topics import BALANCE_ZERO, SERVICE_SUSPENDED

_CHUNK = 500


@dataclass(frozen=True)
class HerdPlan:
    """How many clients, the calls a second behind them, the PBX, and when to give up.

    `hang_up` is what each product says of calls in progress: credit or never.
    """

    clients: int
    rate: int
    costs: PbxCosts
    bound_s: float
    hang_up: str


async def herd(
    town: Town, figures: Figures, plan: HerdPlan, way: Literal["gateway", "extensions"]
) -> None:
    """Each client has 1.00 and makes a call of 10.00; the brake is released."""
    clients = [
        BenchClient(number, f"h{way[0]}", way=way, opening="1.00", hang_up=plan.hang_up)
        for number in range(plan.clients)
    ]
    await town.settle(clients if METERED[0].account_id in town.known else [*METERED, *clients])
    await town.slow_down(plan.costs)
    tenants = "one PBX" if way == "gateway" else f"{plan.clients:,} tenants"
    conditions = (
        f"{plan.clients:,} clients, {tenants}, hang up {plan.hang_up},"
        f" {plan.rate:,} CDR/s behind, {plan.costs}"
    )
    town.console.print(f"Herd by {way}: {conditions}…")
    metered = [client.account_id for client in METERED]
    async with Onlooker(town) as onlooker, Background(town, metered, plan.rate):
        await asyncio.sleep(2)  # the background calls are under way
        began = time.time()
        events = [one_call(client.account_id, 60) for client in clients]
        for start in range(0, len(events), _CHUNK):
            await town.bed.publisher.publish(events[start : start + _CHUNK])
        put_s = time.time() - began
        watch = _Watch(onlooker, clients, began)
        await seen_within(plan.bound_s, watch.is_over)
    watch.report(figures, f"herd by {way}", conditions, put_s)
    state = await town.pbx("GET", "state")
    asked = sum(state["requests"].values())
    figures.add(f"herd by {way}: requests to the PBX", asked, "requests", conditions)
    figures.add(f"herd by {way}: ... at once, at most", state["busiest"], "requests", conditions)


class _Watch:
    def __init__(self, onlooker: Onlooker, clients: list[BenchClient], began: float) -> None:
        self._onlooker = onlooker
        self._clients = clients
        self._began = began

    def _off(self) -> list[float]:
        """Seconds after which each was off at the PBX, of those that are."""
        off_at = self._onlooker.off_at
        return [
            off_at[c.element] - self._began
            for c in self._clients
            if off_at.get(c.element, 0.0) >= self._began
        ]

    def _read_back(self) -> list[float]:
        seen = [
            self._onlooker.of(SERVICE_SUSPENDED, c.account_id, self._began) for c in self._clients
        ]
        return [sight.read_at - self._began for sight in seen if sight]

    def _zero(self) -> list[float]:
        seen = [self._onlooker.of(BALANCE_ZERO, c.account_id, self._began) for c in self._clients]
        return [sight.published_at - self._began for sight in seen if sight]

    def is_over(self) -> bool:
        """Whether all are off and read back."""
        wanted = len(self._clients)
        return len(self._read_back()) == wanted and len(self._off()) == wanted

    def report(self, figures: Figures, name: str, conditions: str, put_s: float) -> None:
        """How long it took until half and all crossed, were off, and were read back."""
        wanted = len(self._clients)
        figures.add(f"{name}: calls put on the topic within", put_s, "s", conditions)
        for what, took in (
            ("crossed zero", self._zero()),
            ("off at the PBX", self._off()),
            ("off, read back", self._read_back()),
        ):
            ordered = sorted(took)
            if ordered:
                half = ordered[min(len(ordered) - 1, wanted // 2)]
                figures.add(f"{name}: half {what} after", half, "s", conditions)
                figures.add(f"{name}: last {what} after", ordered[-1], "s", conditions)
            figures.add(f"{name}: {what}", len(ordered), f"of {wanted:,}", conditions)
