"""`ringfence rerate`: a period's calls on another tariff version."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from rating.rerating.plan import RerateOrder, ReratePlan
from rating.rerating.run import OnAccount, Rerating
from rating.rerating.store import RerateRun, RerateStore
from rating.store import RatingStore
from ringfence.clock import SystemClock
from ringfence.postgres.pool import open_pool
from ringfence.stack_file import database_dsn
from ringfence_contracts.errors import BadInput
from ringfence_contracts.money import format_micro


@click.command()
@click.option("--tariff", help="The tariff by which the calls were charged.")
@click.option("--version", type=int, help="The version of it to price them by.")
@click.option(
    "--from", "from_text", help="Calls answered from this day or instant on, such as 2026-11-01."
)
@click.option("--to", "to_text", help="… and before this one. The account's zone counts.")
@click.option("--account", help="Only this account.")
@click.option("--dry-run", "mode", flag_value="dry-run", default=True, help="Show it (default).")
@click.option("--apply", "mode", flag_value="apply", help="Reverse the charges and charge again.")
@click.option("--undo", "run_text", metavar="RUN", help="Put a run's charges back.")
@click.option("--list", "mode", flag_value="list", help="Show all runs.")
def rerate(
    tariff: str | None,
    version: int | None,
    from_text: str | None,
    to_text: str | None,
    account: str | None,
    mode: str,
    run_text: str | None,
) -> None:
    """Price a period's calls by another tariff version.

    No entry is changed: each charge that differs is reversed, and the call is charged again. An
    --apply that was interrupted is completed by giving the same command again.
    """
    if mode == "list":
        asyncio.run(_list())
    elif run_text:
        asyncio.run(_undo(_run_id(run_text)))
    elif tariff and version is not None and from_text and to_text:
        asyncio.run(
            _rerate(RerateOrder(tariff, version, from_text, to_text, account), mode == "apply")
        )
    else:
        raise click.UsageError("name --tariff, --version, --from and --to; or --undo, or --list.")


async def _rerate(order: RerateOrder, apply: bool) -> None:
    async with _rerating() as rerating:
        if not apply:
            _show(await rerating.dry_run(order), "Nothing was written: this is a dry run.")
            return
        run, plans = await rerating.apply(order)
    changed = any(planned.changes for planned in plans)
    applied = f"Applied as run {run.run_id}; --undo {run.run_id} puts it back."
    _show(plans, applied if changed else "Nothing differs; nothing was written.")


async def _undo(run_id: UUID) -> None:
    async with _rerating() as rerating:
        plans = await rerating.undo(run_id)
    _show(plans, f"Run {run_id} is undone.")


async def _list() -> None:
    async with await open_pool(database_dsn(), service="rating", size=1) as pool:
        runs = await RerateStore(pool).runs()
    if not runs:
        click.echo("Nothing was re-rated yet.")
        return
    table = _table("run", "tariff", "period", "account", "state")
    for title in ("calls", "difference"):
        table.add_column(title, justify="right")
    for run, calls, difference_micro in runs:
        order = run.order
        table.add_row(
            str(run.run_id),
            f"{order.tariff_id} {order.version_id}",
            f"{order.from_text} – {order.to_text}",
            order.account_id or "all",
            _state(run),
            str(calls),
            format_micro(difference_micro),
        )
    Console().print(table)


def _state(run: RerateRun) -> str:
    if run.undone_at:
        return "undone"
    if run.undo_started_at:
        return "undo cut short: --undo again"
    return "applied" if run.applied_at else "cut short: --apply again"


@asynccontextmanager
async def _rerating() -> AsyncIterator[Rerating]:
    async with await open_pool(database_dsn(), service="rating", size=2) as pool:
        columns = (TextColumn("accounts"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield Rerating(
                store=RerateStore(pool),
                rates=RatingStore(pool),
                clock=SystemClock(),
                on_account=_shown_on(progress),
            )


def _shown_on(progress: Progress) -> OnAccount:
    task = progress.add_task("accounts", total=None)

    def show(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)

    return show


def _show(plans: list[ReratePlan], conclusion: str) -> None:
    table = _table("account")
    for title in ("charges", "differ", "difference"):
        table.add_column(title, justify="right")
    table.add_column("")
    totals: Counter[str] = Counter()
    for planned in plans:
        totals[planned.currency] += planned.difference_micro
        if planned.changes:
            table.add_row(
                Text(planned.account_id),
                str(planned.examined),
                str(len(planned.changes)),
                format_micro(planned.difference_micro),
                planned.currency,
            )
    if table.row_count:
        Console().print(table)
        click.echo("A difference above zero is credited to the client, below zero charged.")
    for currency, difference_micro in totals.items():
        examined = sum(planned.examined for planned in plans if planned.currency == currency)
        click.echo(f"{examined} charges; difference {format_micro(difference_micro)} {currency}")
    unchanged = sum((planned.unchanged for planned in plans), Counter[str]())
    for reason, count in unchanged.most_common(20):
        click.echo(f"{count} charges stay as they are: {reason}")
    click.echo(conclusion)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _run_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadInput("RUN", text, "the id of a run, as --list shows it") from None
