"""`make chaos`: faults of every kind while calls come in, and an independent check after each.

python -m tests.chaos                                  everything, about 20 minutes
python -m tests.chaos --only kill,stop --calls 5000    these scenarios, with fewer calls
"""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.table import Table

from tests.chaos.results import COLUMNS, RESULTS, Result, write_results
from tests.chaos.scenarios.scenario import Plan, Scenario
from tests.chaos.suite import BY_NAME, SCENARIOS, run_suite


def _scenarios(_: click.Context, __: click.Parameter, value: str) -> list[Scenario]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    if unknown := [name for name in names if name not in BY_NAME]:
        raise click.BadParameter(f"{', '.join(unknown)}: expected some of {', '.join(BY_NAME)}")
    return [scenario for scenario in SCENARIOS if not names or scenario.name in names]


@click.command()
@click.option("--only", default="", callback=_scenarios, help="Scenarios, separated by commas.")
@click.option("--calls", default=50_000, show_default=True, help="Calls of the kill scenario.")
@click.option("--pause", "pause_s", default=60.0, show_default=True, help="Seconds of a SIGSTOP.")
@click.option("--seed", default=20261127, show_default=True, help="What is random follows from it.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep stacks and logs there.")
@click.option("--write/--no-write", default=True, show_default=True, help="Write RESULTS.md.")
def chaos(
    only: list[Scenario], calls: int, pause_s: float, seed: int, folder: Path | None, write: bool
) -> None:
    """Run scenarios, and write what was lost, doubled or different. Exit 1 if anything was."""
    console = Console()
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - began:6.0f} s  {line}", markup=False, highlight=False)

    def keep(result: Result) -> None:
        if write:
            write_results([result], list(BY_NAME))

    plan = Plan(calls, pause_s=pause_s)
    with TemporaryDirectory(prefix="ringfence-chaos-") as temporary:
        running = run_suite(
            folder or Path(temporary), only, plan, seed=seed, say=say, on_result=keep
        )
        results = asyncio.run(running)
    Console(width=max(console.width, 150)).print(_table(results))
    if write:
        console.print(f"Written to {RESULTS}.")
    if not all(result.holds for result in results):
        raise SystemExit(1)


def _table(results: list[Result]) -> Table:
    table = Table(title="Chaos", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for result in results:
        table.add_row(*result.cells())
    return table


if __name__ == "__main__":
    chaos()
