"""`ringfence calls` and `ringfence unrated`: calls that were billed, and that could not be."""

from typing import Any

import click

from ringfence_cli.connection import api_client, path_of
from ringfence_cli.tables import (
    field,
    limit_option,
    moment,
    output_options,
    short_id,
    show_rows,
    titled,
)


@click.command()
@click.argument("account")
@limit_option(20)
@output_options
def calls(account: str, limit: int, as_json: bool) -> None:
    """Show ACCOUNT's calls, the newest first.

    `ringfence explain call` takes the digits in front and shows how a call was priced.

    Example: ringfence calls acme-1001 --limit 20
    """
    columns = (
        short_id("call", "call_id"),
        moment("started", "started_at"),
        ("way", lambda row: (row["direction"] or "")[:3]),
        field("number"),
        titled("seconds", "billsec"),
        field("cost"),
        field("outcome"),
    )
    rows = api_client().listing(path_of("clients", account, "calls"), limit)
    empty = f"No calls of {account} yet."
    show_rows(
        rows, columns, as_json=as_json, empty=empty, noun="call", shrinks="outcome",
        detail=lambda row: row["reason"] or "",
    )  # fmt: skip


@click.group(invoke_without_command=True)
@limit_option()
@output_options
@click.pass_context
def unrated(context: click.Context, limit: int | None, as_json: bool) -> None:
    """Show calls that could not be rated, each with its reason.

    The oldest is first. `unrated replay` and `explain call` take the digits in front.

    Example: ringfence unrated list --limit 20
    """
    if context.invoked_subcommand is None:
        _show_unrated(limit, as_json)


@unrated.command("list")
@limit_option()
@output_options
def list_unrated(limit: int | None, as_json: bool) -> None:
    """Show calls that could not be rated: the same as `ringfence unrated`.

    Example: ringfence unrated list --limit 20
    """
    _show_unrated(limit, as_json)


def _show_unrated(limit: int | None, as_json: bool) -> None:
    columns = (
        short_id("call", "call_id"),
        moment("queued", "queued_at"),
        titled("server", "server_id"),
        titled("seconds", "billsec"),
        field("reason"),
    )
    rows = api_client().listing("/unrated", limit)
    empty = "No call waits to be rated."
    show_rows(
        rows, columns, as_json=as_json, empty=empty, noun="call", shrinks="server",
        detail=_unrated_where,
    )  # fmt: skip


def _unrated_where(row: Any) -> str:
    """The line below a call: its tenant, and what is wrong in particular."""
    return ": ".join(part for part in (row["tenant"], row["detail"]) if part)
