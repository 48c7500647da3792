"""`ringfence order`: orders of persons and WHMCS for a client or one of its products."""

from collections.abc import Sequence
from typing import Any

import click

from ringfence_cli.connection import api_client, given, path_of
from ringfence_cli.tables import (
    TableColumn,
    TableRow,
    field,
    instant,
    output_options,
    show_rows,
    show_what_happens,
    titled,
)
from ringfence_cli.times import parse_instant

KINDS = ("manual", "forced", "whmcs", "exemption")
_COLUMNS: tuple[TableColumn, ...] = (
    field("kind"),
    ("product", lambda row: row["product"] or "whole client"),
    titled("by", "given_by"),
    instant("since", "since"),
    instant("until", "until"),
)

product_option = click.option("--product", help="only this product; left out: the whole client")
reason_option = click.option("--reason", help="why, for a later reader")
until_option = click.option(
    "--until", help="when it ends by itself: 2026-12-01 (end of that day) or 2026-12-01T17:00"
)


hang_up_option = click.option(
    "--hang-up", is_flag=True, help="end the calls in progress too, but never an emergency call"
)


def body_of(
    product: str | None, reason: str | None, until: str | None = None, *, hang_up: bool = False
) -> dict[str, Any]:
    """The given fields of an order, as the API takes them."""
    until = parse_instant("--until", until, days=True)
    return given(product=product, reason=reason, until=until, hang_up=hang_up or None)


def show_orders(
    orders: Sequence[TableRow],
    *before: TableColumn,
    as_json: bool = False,
    empty: str = "No orders.",
) -> None:
    """Print orders, each with its reason below; `before` are columns that come first."""
    show_rows(
        orders,
        (*before, *_COLUMNS),
        as_json=as_json,
        empty=empty,
        noun="order",
        detail=_why,
        shrinks="by",
    )


def _why(row: TableRow) -> str:
    """The line below an order: its reason, and whether calls in progress are ended."""
    calls = "calls in progress are ended" if row["hang_up"] else ""
    return "; ".join(part for part in (row["reason"], calls) if part)


@click.group()
def order() -> None:
    """Orders of persons and of WHMCS: add, end, list.

    manual switches off even with credit; forced does so for the whole client until a person ends
    it; whmcs is what WHMCS asked for; exemption keeps on without credit.
    """


@order.command("add")
@click.argument("account")
@click.argument("kind", type=click.Choice(KINDS))
@product_option
@reason_option
@until_option
@hang_up_option
@output_options
def add_order(
    account: str,
    kind: str,
    product: str | None,
    reason: str | None,
    until: str | None,
    hang_up: bool,
    as_json: bool,
) -> None:
    """Give an order for ACCOUNT, or replace the one of the same kind and product.

    Example: ringfence order add acme-1001 exemption --until 2026-12-01 --reason "pays on Monday"
    """
    path = path_of("clients", account, "orders", kind)
    answer = api_client().send("PUT", path, json=body_of(product, reason, until, hang_up=hang_up))
    show_what_happens(account, answer, as_json=as_json)


@order.command("end")
@click.argument("account")
@click.argument("kind", type=click.Choice(KINDS))
@product_option
@reason_option
@output_options
def end_order(
    account: str, kind: str, product: str | None, reason: str | None, as_json: bool
) -> None:
    """End an order of ACCOUNT.

    Example: ringfence order end acme-1001 exemption
    """
    path = path_of("clients", account, "orders", kind)
    answer = api_client().send("DELETE", path, params=body_of(product, reason))
    show_what_happens(account, answer, as_json=as_json)


@order.command("list")
@click.argument("account", required=False)
@output_options
def list_orders(account: str | None, as_json: bool) -> None:
    """List the orders in force of ACCOUNT, or of all clients.

    Example: ringfence order list acme-1001
    """
    api = api_client()
    if account:
        rows = api.get(path_of("clients", account, "orders"))["items"]
        empty = f"No orders of {account} are in force."
        show_orders(rows, as_json=as_json, empty=empty)
        return
    rows = [
        {"account_id": client["account_id"], **each}
        for client in api.listing("/clients").rows
        for each in client["orders"]
    ]
    account_column = titled("account", "account_id")
    empty = "No orders are in force."
    show_orders(rows, account_column, as_json=as_json, empty=empty)
