"""`ringfence server inventory`, `compare`, `propose`: inventories and their comparison."""

import time
from datetime import datetime
from typing import Any

import click

from ringfence_cli.connection import ApiClient, api_client, fail, path_of
from ringfence_cli.servers.product_commands import product_command
from ringfence_cli.service_commands import await_answer, show_answer
from ringfence_cli.tables import (
    field,
    limit_option,
    output_options,
    print_json,
    print_sentence,
    show_rows,
    titled,
)
from ringfence_cli.times import sentence

READ_S = 120.0
EXIT_NOT_READ = 1
_LOOK_EVERY_S = 0.5
_KINDS = ("tenant", "extension", "gateway", "did")


@click.command("inventory")
@click.argument("server_id")
@click.option("--refresh", is_flag=True, help="Read it now; left out: as it was read last.")
@click.option("--kind", type=click.Choice(_KINDS), help="only these")
@click.option("--not-ours", is_flag=True, help="only what is off and was not switched off by us")
@limit_option()
@output_options
def inventory(
    server_id: str,
    refresh: bool,
    kind: str | None,
    not_ours: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List what a server has: tenants, extensions, gateways, DIDs.

    Example: ringfence server inventory pbx1 --refresh --kind gateway
    """
    api = api_client()
    path = path_of("servers", server_id, "inventory")
    read = _refreshed(api, server_id) if refresh else api.get(path, limit=1)
    narrowed = {"kind": kind, "not_ours": "true" if not_ours else None}
    found = api.listing(path, limit, **narrowed)
    if as_json:
        facts = {name: read[name] for name in ("server_id", "asked_at", "read_at", "gaps", "error")}
        print_json({**facts, "items": found.rows})
        return
    columns = (
        field("name"),
        field("kind"),
        ("on", lambda row: {True: "on", False: "off", None: "?"}[row["enabled"]]),
        ("tenant", _tenant),
    )
    empty = "It has nothing of this kind." if kind or not_ours else "Nothing was found there."
    if read["read_at"]:
        show_rows(found, columns, as_json=False, empty=empty, noun="item", detail=_label,
                  shrinks="tenant")  # fmt: skip
    _print_last_read(server_id, read)


def _tenant(row: Any) -> str:
    return "" if row["kind"] == "tenant" else str(row["tenant"])


def _label(row: Any) -> str:
    """The line below an item: its label, and the id by which products name it."""
    named = f"id {row['uuid']}" if row["kind"] == "gateway" else ""
    leads = f"rings extension {row['leads_to']}" if row["leads_to"] else ""
    return ", ".join(part for part in (named, row["label"], leads) if part)


def _print_last_read(server_id: str, read: Any) -> None:
    """Print when the server was read, and what could not be read."""
    if read["read_at"]:
        click.echo(f"Read at {sentence(read['read_at'])}.")
    else:
        print_sentence(f"It was not read yet: `ringfence server inventory {server_id} --refresh`.")
    for gap in read["gaps"]:
        print_sentence(f"not read: {gap}", err=True)
    if read["error"]:
        print_sentence(f"the last reading failed: {read['error']}", err=True)


def _refreshed(api: ApiClient, server_id: str) -> dict[str, Any]:
    """Read a server and wait for the result. Ends the program with 1 on failure or timeout."""
    path = path_of("servers", server_id, "inventory")
    request_id = api.send("POST", path)["request_id"]
    answer = await_answer(api, request_id)
    if answer["state"] != "done":
        show_answer(answer, shows=f"ringfence server inventory {server_id}")
    found = _read_since(api, path, datetime.fromisoformat(answer["requested_at"]))
    if found is None:
        again = f"`ringfence server inventory {server_id}` shows it when it is"
        fail(f"{server_id} is not read after {READ_S:.0f} s: {again}", EXIT_NOT_READ)
    if found["error"]:
        fail(f"{server_id} was not read: {found['error']}", EXIT_NOT_READ)
    return found


def _read_since(api: ApiClient, path: str, instant: datetime) -> dict[str, Any] | None:
    """The reading that began at or after an instant, once it ended; None on timeout."""
    deadline = time.monotonic() + READ_S
    while time.monotonic() < deadline:
        found = api.get(path, limit=1)
        if found["asked_at"] and datetime.fromisoformat(found["asked_at"]) >= instant:
            return found
        time.sleep(_LOOK_EVERY_S)
    return None


@click.command("compare")
@click.argument("server_id")
@output_options
def compare(server_id: str, as_json: bool) -> None:
    """Compare products with what their server has, both ways.

    What a product names and the server does not have is never switched; what the server has and no
    product names is billed to nobody.

    Example: ringfence server compare pbx1
    """
    found = api_client().get(path_of("servers", server_id, "comparison"))
    if as_json:
        print_json({name: value for name, value in found.items() if name != "proposals"})
        return
    if found["read_at"]:
        _show_missing(server_id, found["missing"])
        click.echo()
        _show_unowned(server_id, found["unowned"])
    _print_last_read(server_id, found)


def _show_missing(server_id: str, rows: Any) -> None:
    columns = (
        titled("account", "account_id"),
        field("product"),
        field("kind"),
    )
    show_rows(
        rows,
        columns,
        as_json=False,
        empty=f"All that products name is on {server_id}.",
        noun="difference",
        detail=lambda row: f"{row['name']} is not on {server_id}{_meant(row)}{_grave(row)}",
        shrinks="product",
    )


def _meant(row: Any) -> str:
    """What a name that the server does not have may mean."""
    if row["suggestion"]:
        hint = f" ({row['hint']})" if row["hint"] else ""
        return f"; perhaps {row['suggestion']}{hint} is meant"
    return f"; {row['hint']}" if row["hint"] else ""


def _grave(row: Any) -> str:
    return "; until then the product has no calls, or is never switched" if row["is_grave"] else ""


def _show_unowned(server_id: str, rows: Any) -> None:
    columns = (titled("in no product", "name"), field("kind"), ("tenant", _tenant))
    show_rows(
        rows,
        columns,
        as_json=False,
        empty=f"All that {server_id} has is in a product.",
        noun="difference",
        detail=lambda row: row["label"] if row["label"] != row["name"] else "",
        shrinks="tenant",
    )
    if any(row["kind"] == "tenant" for row in rows):
        click.echo(f"Products for whole tenants: ringfence server propose {server_id}")


@click.command("propose")
@click.argument("server_id")
@output_options
def propose(server_id: str, as_json: bool) -> None:
    """Propose products for tenants without one, as commands.

    To be copied: put the client's account in the place of ACCOUNT, its package in that of PACKAGE.

    Example: ringfence server propose pbx1 > products.sh
    """
    found = api_client().get(path_of("servers", server_id, "comparison"))
    if as_json:
        print_json(found["proposals"])
        return
    for proposal in found["proposals"]:
        click.echo(product_command(proposal))
        click.echo()
    if found["read_at"] and not found["proposals"]:
        click.echo(f"Every tenant of {server_id} is in a product.")
    if not found["read_at"] or found["error"] or found["gaps"]:
        _print_last_read(server_id, found)
