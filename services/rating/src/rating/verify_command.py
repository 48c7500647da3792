"""`ringfence verify`: the invariants, recomputed, with the sums."""

import asyncio
from collections.abc import Callable

import click
from rich.console import Console
from rich.table import Table

from rating.store_audit import AuditStore
from rating.verify import Check, Sums
from rating.verify import verify as run_checks
from ringfence.money import format_micro
from ringfence.place import database_dsn
from ringfence.postgres.pool import open_pool


@click.command()
@click.option(
    "--dsn",
    default=None,
    help="Database; default: RINGFENCE_POSTGRES_DSN, or the stack that runs in .ringfence.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Seconds that calls on their way get to arrive.",
)
def verify(dsn: str | None, wait_s: float) -> None:
    """Check that the books are right (I1 to I4) and print the sums.

    Exit 1 when anything differs; each difference is a line.
    """  # fmt: skip
    console = Console()
    with console.status("verifying…") as status:
        checks, sums = asyncio.run(
            _verify(dsn or database_dsn(), wait_s, lambda what: status.update(f"checking {what}…"))
        )
    show(console, checks, sums)
    if not all(check.holds for check in checks):
        raise SystemExit(1)


async def _verify(
    dsn: str, wait_s: float, on_progress: Callable[[str], None]
) -> tuple[list[Check], list[Sums]]:
    async with await open_pool(dsn, service="rating", size=2) as pool:
        return await run_checks(AuditStore(pool), wait_s=wait_s, on_progress=on_progress)


def show(console: Console, checks: list[Check], sums: list[Sums]) -> None:
    """Print what was found."""
    table = Table(title="Invariants", title_justify="left")
    for column in ("", "what must hold", "checked", "result"):
        table.add_column(column, overflow="fold")
    for check in checks:
        result = "[green]holds[/green]" if check.holds else f"[red]{check.found} differ[/red]"
        table.add_row(check.name, check.says, check.counted, result)
    console.print(table)
    for check in checks:
        for line in check.differences:
            console.print(f"[red]{check.name}[/red] {line}", soft_wrap=True)
    money = Table(title="Sums", title_justify="left")
    for column in ("currency", "accounts", "entries", "paid in", "charged", "balance"):
        money.add_column(column, justify="left" if column == "currency" else "right")
    for row in sums:
        money.add_row(
            row.currency,
            str(row.accounts),
            str(row.entries),
            format_micro(row.paid_micro),
            format_micro(row.charges_micro),
            format_micro(row.balance_micro),
        )
    console.print(money)
