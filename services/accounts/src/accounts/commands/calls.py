"""`ringfence calls` and `ringfence unrated`: what was billed, and what could not be."""

from typing import Any

import click

from accounts.commands.connection import front_door, path_of
from accounts.commands.tables import as_json, field, limit_option, moment, show_rows, titled


@click.command()
@click.argument("account")
@limit_option()
@as_json
def calls(account: str, limit: int, json_wanted: bool) -> None:
    """Show ACCOUNT's calls, the newest first; --json shows how each was priced."""
    columns = (
        moment("started", "started_at"),
        ("way", lambda row: (row["direction"] or "")[:3]),
        field("number"),
        titled("seconds", "billsec"),
        field("cost"),
        ("outcome", _outcome),
    )
    rows = front_door().pages(path_of("clients", account, "calls"), limit)
    show_rows(rows, columns, json_wanted=json_wanted, empty=f"No calls of {account} yet.")


def _outcome(row: Any) -> str:
    return f"{row['outcome']} ({row['reason']})" if row["reason"] else str(row["outcome"])


@click.group(invoke_without_command=True)
@limit_option(50)
@as_json
@click.pass_context
def unrated(context: click.Context, limit: int, json_wanted: bool) -> None:
    """Calls that could not be rated, the oldest first, each with its reason."""
    if context.invoked_subcommand is None:
        _show_unrated(limit, json_wanted)


@unrated.command("list")
@limit_option(50)
@as_json
def list_unrated(limit: int, json_wanted: bool) -> None:
    """The same."""
    _show_unrated(limit, json_wanted)


def _show_unrated(limit: int, json_wanted: bool) -> None:
    columns = (
        moment("queued", "queued_at"),
        titled("server", "server_id"),
        field("tenant"),
        titled("seconds", "billsec"),
        field("reason"),
        ("call", lambda row: str(row["call_id"])[:8]),
    )
    rows = front_door().pages("/unrated", limit)
    show_rows(rows, columns, json_wanted=json_wanted, empty="No call waits to be rated.")
