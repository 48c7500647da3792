"""`ringfence unrated replay`: another attempt for calls of the unrated queue."""

import asyncio
from datetime import timedelta
from uuid import UUID

import click
from rich import box
from rich.console import Console
from rich.table import Table

from rating.unrated.store import ReplaySelection, ReplayStore, UnratedCount
from ringfence.postgres.pool import open_pool
from ringfence.stack_file import database_dsn
from ringfence_contracts.errors import BadInput

_POLL_EVERY_S = 0.2
_SHORTEST_ID = 4


@click.command()
@click.argument("calls", nargs=-1, metavar="[CALL]…")
@click.option("--reason", help="Only calls that wait for this reason, such as no-matching-prefix.")
@click.option("--tenant", help="Only calls of this tenant.")
@click.option("--all", "everything", is_flag=True, help="All calls of the queue.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to wait for the outcome.",
)
def replay(
    calls: tuple[str, ...], reason: str | None, tenant: str | None, everything: bool, wait_s: float
) -> None:
    """Rate unrated calls again after the cause was corrected.

    CALL is a call's id, or its first characters. Without any choice, this shows what waits.
    Each call is charged once, however often it is tried.
    """
    selection = ReplaySelection(tuple(map(_short_id, calls)), reason, tenant)
    if everything and selection != ReplaySelection():
        raise click.UsageError("--all goes with no other choice.")
    chosen = everything or selection != ReplaySelection()
    asyncio.run(_replay(selection, wait_s) if chosen else _show_waiting())


def _short_id(text: str) -> str:
    prefix = text.strip().lower()
    if len(prefix) < _SHORTEST_ID or not set(prefix) <= set("0123456789abcdef-"):
        raise BadInput("CALL", text, f"a call's id, or at least its first {_SHORTEST_ID} digits")
    return prefix


async def _show_waiting() -> None:
    async with await open_pool(database_dsn(), service="rating", size=1) as pool:
        waiting = await ReplayStore(pool).waiting()
    if not waiting:
        click.echo("No call waits to be rated.")
        return
    Console().print(waiting_table(waiting))
    click.echo("To rate them again: ringfence unrated replay --all, or --reason, --tenant, CALL….")


def waiting_table(waiting: list[UnratedCount]) -> Table:
    """The queue by reason, with its totals."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_footer=True)
    table.add_column("reason", "all")
    for title, total in (
        ("calls", sum(row.calls for row in waiting)),
        ("seconds", sum(row.billsec for row in waiting)),
    ):
        table.add_column(title, str(total), justify="right")
    table.add_column(
        "oldest", str(timedelta(seconds=max(row.oldest_s for row in waiting))), justify="right"
    )
    for row in waiting:
        age = str(timedelta(seconds=row.oldest_s))
        table.add_row(row.reason, str(row.calls), str(row.billsec), age)
    return table


async def _replay(selection: ReplaySelection, wait_s: float) -> None:
    async with await open_pool(database_dsn(), service="rating", size=1) as pool:
        store = ReplayStore(pool)
        marked = await store.mark(selection)
        if not marked:
            click.echo("No such call waits to be rated.")
            return
        left = await _wait_until_rated(store, marked, wait_s)
        reasons = await store.reasons(marked)
    if left:
        click.echo(f"{left} of {len(marked)} calls are marked; rating takes them up when it runs.")
        return
    click.echo(f"{len(marked) - sum(reasons.values())} of {len(marked)} calls are settled.")
    for reason, count in reasons.items():
        click.echo(f"{count} still wait: {reason}")


async def _wait_until_rated(store: ReplayStore, marked: list[UUID], wait_s: float) -> int:
    """Wait until rating has tried these calls; how many it has not tried when the time is over."""
    for _ in range(round(wait_s / _POLL_EVERY_S)):
        if not await store.still_marked(marked):
            return 0
        await asyncio.sleep(_POLL_EVERY_S)
    return await store.still_marked(marked)
