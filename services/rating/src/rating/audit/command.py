"""`ringfence database verify`: checks the invariants by the database alone, without services."""

import asyncio

import click
import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rating.audit.finding import Check, OnProgress
from rating.audit.invariants import Sums
from rating.audit.invariants import verify as run_checks
from rating.audit.replay_topics import check_rebuilt
from rating.audit.report import as_report
from rating.audit.store import AuditStore
from rating.audit.store_replay import RebuildStore
from ringfence.kafka.brokers import Bootstrap
from ringfence.postgres.pool import open_pool
from ringfence.stack_file import database_dsn, kafka_brokers
from ringfence_contracts.money import format_micro


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
    help="Seconds that what is on its way between services gets to arrive.",
)
@click.option("--replay", is_flag=True, help="Also rebuild all balances from the topics (I7).")
@click.option("--full", is_flag=True, help="Read the whole ledger, not from the checkpoints on.")
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON, for machines.")
def verify(dsn: str | None, wait_s: float, replay: bool, full: bool, json_wanted: bool) -> None:
    """Do what `ringfence verify` does without the services.

    It reads the database itself, and with --replay Kafka, so it works while the API or rating is
    down. Exit 1 when anything differs, or could not be checked; each difference is a line.

    Example: ringfence database verify --replay --json
    """
    console = Console(stderr=json_wanted)
    bootstrap = kafka_brokers() if replay else None
    with console.status("verifying…") as status:
        checks, sums = asyncio.run(
            _verify(
                dsn or database_dsn(),
                bootstrap,
                wait_s,
                full,
                lambda what, *_: status.update(f"checking {what}…"),
            )
        )
    if json_wanted:
        click.echo(orjson.dumps(as_report(checks, sums), option=orjson.OPT_INDENT_2))
    else:
        show(console, checks, sums)
    if not all(check.holds for check in checks):
        raise SystemExit(1)


async def _verify(
    dsn: str, bootstrap: Bootstrap | None, wait_s: float, full: bool, on_progress: OnProgress
) -> tuple[list[Check], list[Sums]]:
    async with await open_pool(dsn, service="rating", size=2) as pool:
        checks, sums = await run_checks(
            AuditStore(pool), wait_s=wait_s, on_progress=on_progress, full=full
        )
        if bootstrap is not None:
            async with pool.acquire() as connection:
                checks.append(
                    await check_rebuilt(
                        RebuildStore(connection),
                        bootstrap,
                        wait_s=wait_s,
                        on_progress=on_progress,
                    )
                )
    return checks, sums


def show(console: Console, checks: list[Check], sums: list[Sums]) -> None:
    """Print the checks and sums as tables."""
    table = Table(title="Invariants", title_justify="left")
    for column in ("", "what must hold", "checked", "result"):
        table.add_column(column, overflow="fold")
    for check in checks:
        table.add_row(check.name, check.says, check.counted, _result(check))
    console.print(table)
    for check in checks:
        for line in (*check.differences, *filter(None, [check.unknown])):
            console.print(f"[red]{check.name}[/red] {escape(line)}", soft_wrap=True)
        for line in check.remarks:
            console.print(f"[yellow]{check.name}[/yellow] {escape(line)}", soft_wrap=True)
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


def _result(check: Check) -> str:
    if check.unknown:
        return "[yellow]not known[/yellow]"
    return "[green]holds[/green]" if check.holds else f"[red]{check.found} differ[/red]"
