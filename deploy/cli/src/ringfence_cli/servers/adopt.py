"""`ringfence adopt`: elements that are off and will count as switched off by ringfence."""

from typing import Any

import click

from ringfence_cli.connection import api_client
from ringfence_cli.tables import (
    limit_option,
    output_options,
    print_json,
    show_rows,
    show_warnings,
    titled,
)


@click.group()
def adopt() -> None:
    """What was off on PBXs before ringfence: list."""


@adopt.command("list")
@click.option("--server", help="only this server")
@limit_option()
@output_options
def list_adoptions(server: str | None, limit: int | None, as_json: bool) -> None:
    """List what is off and will count as switched off by us.

    It is off on the PBXs of clients who were imported with VoIP Suspended = Yes. When such a
    client goes live it counts as switched off by ringfence: a payment switches it on.
    For all others, what was off before stays as it is.

    Example: ringfence adopt list --server pbx1
    """
    api = api_client()
    params = {"server": server} if server else {}
    head = api.get("/adoptions", limit=1, **params)
    show_warnings(head)
    found = api.listing("/adoptions", limit, **params)
    if as_json:
        print_json(found.rows)
        return
    columns = (
        titled("account", "account_id"),
        titled("product", "service_id"),
        titled("server", "server_id"),
        titled("way", "way"),
        ("name", lambda row: row["label"] or row["name"]),
    )
    show_rows(
        found,
        columns,
        as_json=False,
        empty="Nothing: no imported client has anything off that would be adopted.",
        noun="element",
        detail=_element,
        shrinks="name",
    )


def _element(row: Any) -> str:
    """The line below an element: its name on the PBX."""
    return f"{row['element']} of {row['tenant']}" if row["tenant"] else str(row["element"])
