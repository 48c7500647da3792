"""`make bench`: drives CDRs through the real broker and database, and prints what it measured.

python tests/bench                       everything
python tests/bench --calls 100000        less of it
python tests/bench --only latency
"""

import asyncio
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from bed import Bed
from figures import Figures
from push import push
from rich.console import Console
from scenarios import latency, throughput

DECKS = (1_000, 100_000)


@click.command()
@click.option("--calls", default=250_000, show_default=True, help="Calls in each throughput run.")
@click.option("--accounts", default=10_000, show_default=True)
@click.option("--rate", default=1_000, show_default=True, help="Calls a second, for latencies.")
@click.option("--seconds", default=20, show_default=True, help="How long latencies are measured.")
@click.option("--only", type=click.Choice(["throughput", "latency", "push"]), default=None)
@click.option("--write/--no-write", default=True, show_default=True, help="Write RESULTS.md.")
def bench(
    calls: int, accounts: int, rate: int, seconds: int, only: str | None, write: bool
) -> None:
    """Measure rating end to end on this machine, check the sums, and write down the figures."""
    console = Console()
    began = time.monotonic()
    figures = Figures()
    with TemporaryDirectory(prefix="ringfence-bench-") as folder:
        asyncio.run(_bench(Path(folder), figures, console, calls, accounts, rate, seconds, only))
    figures.note(f"load average at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    console.print(figures.table())
    if write and not figures.broken:
        figures.write(Path(__file__).parent)
    console.print(f"Took {time.monotonic() - began:.0f} s.")
    if figures.broken:
        raise SystemExit("The sums are wrong: nothing that was measured counts.")


async def _bench(
    folder: Path,
    figures: Figures,
    console: Console,
    calls: int,
    accounts: int,
    rate: int,
    seconds: int,
    only: str | None,
) -> None:
    async with Bed(folder, console) as bed:
        for deck in DECKS if only != "push" else ():
            await bed.prepare(deck, accounts)
        if only in (None, "throughput"):
            for deck in DECKS:
                for workers in (1, 2):
                    await throughput(bed, figures, deck=deck, workers=workers, calls=calls)
        if only in (None, "push"):
            await push(bed, figures, folder, rate=500, seconds=seconds)
            await push(bed, figures, folder, rate=2_000, seconds=5)
        if only in (None, "latency"):
            await latency(bed, figures, deck=DECKS[-1], rate=rate, seconds=seconds)
        await bed.check_sums(figures)


if __name__ == "__main__":
    bench()
