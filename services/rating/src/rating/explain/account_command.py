"""`ringfence account`: a balance with the entries that it consists of."""

import asyncio
from typing import Any

import asyncpg
import click
import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rating.explain.store import ExplainStore, Totals
from rating.pricing.billing_period import parse_instant, zone_of
from ringfence.postgres.pool import open_pool
from ringfence.stack_file import database_dsn
from ringfence_contracts.errors import BadInput
from ringfence_contracts.money import format_micro

_KINDS = ("charge", "top-up", "adjustment", "reversal")


@click.command()
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--since", help="Posted from this day or instant on, in the account's zone.")
@click.option("--until", help="Posted before this day or instant.")
@click.option("--kind", type=click.Choice(_KINDS), help="Show only these; the sums count all.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON, for machines.")
def account(
    account_id: str,
    since: str | None,
    until: str | None,
    kind: str | None,
    limit: int,
    json_wanted: bool,
) -> None:
    """Show how ACCOUNT's balance came about: opening, entries, closing, and whether they add up."""
    statement = asyncio.run(_statement(account_id, since, until, kind, limit))
    if json_wanted:
        click.echo(orjson.dumps(statement, default=str, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(statement)
    if statement["differs"]:
        raise SystemExit(1)


async def _statement(
    account_id: str, since: str | None, until: str | None, kind: str | None, limit: int
) -> dict[str, Any]:
    async with await open_pool(database_dsn(), service="rating", size=1) as pool:
        store = ExplainStore(pool)
        found = await store.account(account_id)
        if found is None:
            raise BadInput("ACCOUNT", account_id, "an account that rating knows")
        zone = found["time_zone"]
        start = None if since is None else parse_instant("--since", since, zone)
        end = None if until is None else parse_instant("--until", until, zone)
        totals = await store.totals(account_id, start, end)
        rows = await store.entries(account_id, start, end, kind, limit)
        drift = await store.drift(account_id)
    totals = totals or Totals(0, 0, found["balance_micro"], found["balance_micro"])
    time_zone = zone_of(zone)
    return {
        "account_id": account_id,
        "currency": found["currency"],
        "opening": format_micro(totals.opening_micro),
        "entries": [_line(row, time_zone) for row in rows],
        "entries_in_range": totals.entries,
        "sum": format_micro(totals.sum_micro),
        "closing": format_micro(totals.closing_micro),
        "balance": format_micro(found["balance_micro"]),
        "differs": _differs(totals, drift),
    }


def _differs(totals: Totals, drift: asyncpg.Record | None) -> str:
    """Why the entries do not add up to the balance; empty if they do."""
    if totals.opening_micro + totals.sum_micro != totals.closing_micro:
        return "opening and entries do not come to the closing balance"
    if drift is not None:
        return (
            f"all entries come to {format_micro(int(drift['ledger_micro']))}, the balance is"
            f" {format_micro(drift['balance_micro'])}; {drift['broken_links']} do not follow"
            " from the one before"
        )
    return ""


def _line(row: asyncpg.Record, zone: Any) -> dict[str, object]:
    return {
        "version": row["version"],
        "entry_id": str(row["entry_id"]),
        "posted_at": row["posted_at"].astimezone(zone).isoformat(timespec="seconds"),
        "occurred_at": row["occurred_at"].astimezone(zone).isoformat(timespec="seconds"),
        "kind": row["kind"],
        "what": _what(row["kind"], orjson.loads(row["explanation"])),
        "amount": format_micro(row["amount_micro"]),
        "balance": format_micro(row["balance_after_micro"]),
    }


def _what(kind: str, details: dict[str, Any]) -> str:
    if kind == "charge":
        return f"{details['direction'] or 'call'} {details['number']}, {details['billed_s']} s"
    if kind == "reversal":
        return f"re-rated by {details['rerated']['run_id'][:8]}"
    return str(details.get("reference", ""))


def _show(statement: dict[str, Any]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in ("posted", "kind", "what"):
        table.add_column(column, overflow="fold")
    for column in ("amount", "balance"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_row("", "opening", "", "", statement["opening"])
    for line in statement["entries"]:
        posted = line["posted_at"][:19].replace("T", " ")
        table.add_row(posted, line["kind"], Text(line["what"]), line["amount"], line["balance"])
    table.add_row("", "closing", "", statement["sum"], statement["closing"])
    Console().print(table)
    shown, all_ = len(statement["entries"]), statement["entries_in_range"]
    if shown < all_:
        click.echo(f"{shown} of {all_} entries are shown; the sums count all.")
    currency = statement["currency"]
    click.echo(
        statement["differs"] or f"They add up. Balance now: {statement['balance']} {currency}"
    )
