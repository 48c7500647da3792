"""`make bench`: drives CDRs through the real broker and database, and prints what it measured.

python tests/bench                       everything
python tests/bench --calls 100000        less of it
python tests/bench --only latency
python tests/bench --only herd --clients 100
"""

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from bed import Bed
from figures import Figures
from herd import HerdPlan, herd
from push import push
from rich.console import Console
from scenarios import latency, throughput
from switching import SwitchingPlan, switching
from town import PbxCosts, Town, town_stack

from ringfence_local.stack import Stack

DECKS = (1_000, 100_000)
WORKERS = (1, 2)
RATING = ("throughput", "push", "latency", "polls")
TOWN = ("switching", "herd", "herd-gateway", "herd-extensions")
PAGES = ("pages",)


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    calls: int
    accounts: int
    rate: int
    seconds: int
    decks: tuple[int, ...]
    workers: tuple[int, ...]
    only: str | None
    samples: int
    clients: int
    calls_each: int
    latency_ms: int
    gateway_ms: int
    bound_s: float
    hang_up: str

    def has(self, *scenarios: str) -> bool:
        """Whether one of these is to be measured."""
        return self.only is None or self.only in scenarios

    @property
    def costs(self) -> PbxCosts:
        """How slow the PBX is."""
        return PbxCosts(self.latency_ms, self.gateway_ms)


@click.command()
@click.option("--calls", default=400_000, show_default=True, help="Calls in each throughput run.")
@click.option("--accounts", default=10_000, show_default=True)
@click.option("--rate", default=1_000, show_default=True, help="Calls a second, for latencies.")
@click.option("--seconds", default=20, show_default=True, help="How long latencies are measured.")
@click.option(
    "--deck", "decks", type=int, multiple=True, default=DECKS, show_default=True,
    help="Prefixes in the tariff; may be given again.",
)  # fmt: skip
@click.option(
    "--workers", type=int, multiple=True, default=WORKERS, show_default=True,
    help="Rating workers in a throughput run; may be given again.",
)  # fmt: skip
@click.option("--samples", default=60, show_default=True, help="Clients switched one by one.")
@click.option("--clients", default=2_000, show_default=True, help="Clients in each herd.")
@click.option("--calls-each", default=20, show_default=True, help="A client's calls, for pages.")
@click.option("--latency-ms", default=150, show_default=True, help="The PBX's, for each request.")
@click.option("--gateway-ms", default=80, show_default=True, help="... for each listed gateway.")
@click.option("--bound-s", default=900.0, show_default=True, help="A herd's row ends after this.")
@click.option(
    "--hang-up", type=click.Choice(["credit", "never"]), default="credit", show_default=True,
    help="Whether the herds' calls in progress are looked for and ended.",
)  # fmt: skip
@click.option("--only", type=click.Choice((*RATING, *TOWN, *PAGES)), default=None)
@click.option("--write/--no-write", default=True, show_default=True, help="Write RESULTS.md.")
def bench(write: bool, **plan: Any) -> None:
    """Measure rating and switching on this machine, check the sums, and write down the figures."""
    console = Console()
    began = time.monotonic()
    figures, wanted = Figures(), Plan(**plan)
    with TemporaryDirectory(prefix="ringfence-bench-") as folder:
        asyncio.run(_bench(Path(folder), figures, console, wanted))
    figures.note(f"load average at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    console.print(figures.table())
    if write and not figures.broken:
        figures.write(Path(__file__).parent, keep_others=wanted.only is not None)
    console.print(f"Took {time.monotonic() - began:.0f} s.")
    if figures.broken:
        raise SystemExit("The sums are wrong: nothing that was measured counts.")


async def _bench(folder: Path, figures: Figures, console: Console, plan: Plan) -> None:
    if plan.has(*RATING):
        await _rating(folder / "rating", figures, console, plan)
    if plan.has(*TOWN):
        await _town(folder / "town", figures, console, plan)
    if plan.has(*PAGES):
        await _pages(folder / "pages", figures, console, plan)


async def _rating(folder: Path, figures: Figures, console: Console, plan: Plan) -> None:
    async with Bed(Stack(folder, services=(), wanted_ports={}), console) as bed:
        for deck in plan.decks if plan.only not in ("push", "polls") else ():
            await bed.prepare(deck, plan.accounts)
        if plan.has("throughput"):
            for deck in plan.decks:
                for workers in plan.workers:
                    await throughput(bed, figures, deck=deck, workers=workers, calls=plan.calls)
        await bed.rest()
        if plan.has("push"):
            await push(bed, figures, folder, rate=500, seconds=plan.seconds)
            await push(bed, figures, folder, rate=2_000, seconds=5)
        if plan.has("polls"):
            _find_support()
            from polls import polls

            await polls(bed, figures)
        if plan.has("latency"):
            await latency(bed, figures, deck=plan.decks[-1], rate=plan.rate, seconds=plan.seconds)
        await bed.check_sums(figures, "rating")


async def _town(folder: Path, figures: Figures, console: Console, plan: Plan) -> None:
    async with Bed(town_stack(folder), console) as bed, Town(bed, console) as town:
        if plan.has("switching"):
            await switching(town, figures, SwitchingPlan(plan.samples, plan.rate, plan.costs))
        herds = HerdPlan(plan.clients, plan.rate, plan.costs, plan.bound_s, plan.hang_up)
        if plan.has("herd", "herd-gateway"):
            await herd(town, figures, herds, "gateway")
        if plan.has("herd", "herd-extensions"):
            await herd(town, figures, herds, "extensions")
        await bed.check_sums(figures, "switching", wait_s=60)


async def _pages(folder: Path, figures: Figures, console: Console, plan: Plan) -> None:
    _find_support()
    from pages import PagesPlan, pages

    stack = town_stack(folder, console=True)
    async with Bed(stack, console) as bed, Town(bed, console) as town:
        await pages(town, figures, PagesPlan(plan.accounts, plan.calls_each))
        await bed.check_sums(figures, "pages", wait_s=60)


def _find_support() -> None:
    """Let a scenario import tests.support."""
    sys.path.append(str(Path(__file__).parents[2]))


if __name__ == "__main__":
    bench()
