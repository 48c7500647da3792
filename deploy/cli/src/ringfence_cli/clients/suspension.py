"""`ringfence suspend`, `unsuspend`, `services`: manual orders, and the state of services."""

import click

from ringfence_cli.clients.orders import (
    body_of,
    hang_up_option,
    product_option,
    reason_option,
    until_option,
)
from ringfence_cli.connection import api_client, fail, path_of
from ringfence_cli.tables import (
    TableRow,
    field,
    instant,
    limit_option,
    moment,
    output_options,
    show_rows,
    show_what_happens,
    titled,
)

_ON_OFF = {"active": "on", "suspended": "off"}


@click.command()
@click.argument("account")
@product_option
@reason_option
@until_option
@hang_up_option
@output_options
def suspend(
    account: str,
    product: str | None,
    reason: str | None,
    until: str | None,
    hang_up: bool,
    as_json: bool,
) -> None:
    """Switch ACCOUNT off, even with credit: a manual order.

    Example: ringfence suspend acme-1001 --reason "fraud on the trunk" --until 2026-12-01 --hang-up
    """
    body = body_of(product, reason, until, hang_up=hang_up)
    answer = api_client().send("POST", path_of("clients", account, "suspend"), json=body)
    show_what_happens(account, answer, as_json=as_json)


@click.command()
@click.argument("account")
@product_option
@reason_option
@output_options
def unsuspend(account: str, product: str | None, reason: str | None, as_json: bool) -> None:
    """End ACCOUNT's manual order, and say whether it goes on.

    Example: ringfence unsuspend acme-1001
    """
    body = body_of(product, reason)
    answer = api_client().send("POST", path_of("clients", account, "unsuspend"), json=body)
    show_what_happens(account, answer, as_json=as_json)


@click.command()
@click.argument("account", required=False)
@click.option("--elements", is_flag=True, help="what was switched off for ACCOUNT, one by one")
@limit_option()
@output_options
def services(account: str | None, elements: bool, limit: int | None, as_json: bool) -> None:
    """Show what is wanted of services, and confirmed on the PBX.

    Of ACCOUNT, or of all clients; with the last error. A client in shadow shows what would be.

    Example: ringfence services acme-1001 --elements
    """
    if elements:
        if account is None:
            fail("--elements: of which client? `ringfence services ACCOUNT --elements`")
        _show_elements(account, limit, as_json)
        return
    columns = (
        titled("product", "service_id"),
        titled("account", "account_id"),
        titled("server", "server_id"),
        ("wanted", _desired_state),
        ("confirmed", lambda row: _ON_OFF.get(row["confirmed"], "not yet")),
        moment("since", "since"),
    )
    path = path_of("clients", account, "services") if account else "/services"
    rows = api_client().listing(path, limit)
    empty = "No service was switched, or was meant to be, so far."
    show_rows(
        rows,
        columns,
        as_json=as_json,
        empty=empty,
        noun="service",
        detail=_remarks,
        shrinks="account",
    )


def _desired_state(row: TableRow) -> str:
    """The desired state; for a client in shadow mode, the state that it would be."""
    if not row["live"] and row["would"] != "leave":
        return f"would be {_ON_OFF[row['would']]}"
    return _ON_OFF[row["wanted"]]


def _remarks(row: TableRow) -> str:
    """The line below a service: remarks and the last error."""
    off = row["confirmed"] == "suspended"
    parts = []
    if row["departed"]:
        parts.append("removed; off until the hold ends" if off else "removed")
    if row["confirmed"] and not row["proven"]:
        parts.append("asked, not proven: its server cannot be read back")
    if off and row["ended_calls"]:
        parts.append(f"calls ended: {', '.join(row['ended_calls'])}")
    if off and row["emergency"]:
        parts.append(row["emergency"])
    if row["last_error"]:
        parts.append(f"last error: {row['last_error']}")
    return "; ".join(parts)


def _show_elements(account: str, limit: int | None, as_json: bool) -> None:
    columns = (
        field("element"),
        titled("product", "service_id"),
        field("way"),
        instant("since", "recorded_at"),
        ("before", lambda row: "on" if row["was_on"] else "off"),
    )
    show_rows(
        api_client().listing(path_of("clients", account, "elements"), limit),
        columns,
        as_json=as_json,
        empty=f"Nothing is switched off for {account}.",
        noun="element",
        detail=_element_remarks,
        shrinks="product",
    )


def _element_remarks(row: TableRow) -> str:
    """The line below an element: where it is, and when it is switched on."""
    tenant = f", of {row['tenant']}" if row["tenant"] not in ("", row["element"]) else ""
    parts = [f"on {row['server_id']}{tenant}"]
    if row["adopted"]:
        parts.append("adopted: it was off when the client was imported")
    if not row["was_on"]:
        parts.append("it was off before, and stays so")
    elif row["left_behind"]:
        parts.append("in no product any more: it stays off until the hold ends")
    if row["confirmed_at"] is None:
        parts.append("not confirmed off yet")
    if row["last_error"]:
        parts.append(f"last error: {row['last_error']}")
    return "; ".join(parts)
