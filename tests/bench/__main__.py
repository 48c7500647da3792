"""`make bench`: drives CDRs through the real broker and database, and prints what it measured.

python tests/bench                       everything
python tests/bench --calls 100000        less of it
python tests/bench --only latency
"""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from bed import Bed
from figures import Figures
from push import push
from rich.console import Console
from scenarios import latency, throughput

DECKS = (1_000, 100_000)
WORKERS = (1, 2)


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
@click.option("--only", type=click.Choice(["throughput", "latency", "push"]), default=None)
@click.option("--write/--no-write", default=True, show_default=True, help="Write RESULTS.md.")
def bench(write: bool, **plan: Any) -> None:
    """Measure rating end to end on this machine, check the sums, and write down the figures."""
    console = Console()
    began = time.monotonic()
    figures = Figures()
    with TemporaryDirectory(prefix="ringfence-bench-") as folder:
        asyncio.run(_bench(Path(folder), figures, console, Plan(**plan)))
    figures.note(f"load average at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    console.print(figures.table())
    if write and not figures.broken:
        figures.write(Path(__file__).parent)
    console.print(f"Took {time.monotonic() - began:.0f} s.")
    if figures.broken:
        raise SystemExit("The sums are wrong: nothing that was measured counts.")


async def _bench(folder: Path, figures: Figures, console: Console, plan: Plan) -> None:
    async with Bed(folder, console) as bed:
        for deck in plan.decks if plan.only != "push" else ():
            await bed.prepare(deck, plan.accounts)
        if plan.only in (None, "throughput"):
            for deck in plan.decks:
                for workers in plan.workers:
                    await throughput(bed, figures, deck=deck, workers=workers, calls=plan.calls)
        await bed.rest()
        if plan.only in (None, "push"):
            await push(bed, figures, folder, rate=500, seconds=plan.seconds)
            await push(bed, figures, folder, rate=2_000, seconds=5)
        if plan.only in (None, "latency"):
            await latency(bed, figures, deck=plan.decks[-1], rate=plan.rate, seconds=plan.seconds)
        await bed.check_sums(figures)


if __name__ == "__main__":
    bench()
