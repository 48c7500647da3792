"""`ringfence suspend`, `unsuspend`, `services`: what is switched off, and why it may not be."""

import click

from accounts.commands.clients.orders import body_of, product_option, reason_option, until_option
from accounts.commands.connection import front_door, path_of
from accounts.commands.tables import (
    Row,
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
@output_options
def suspend(
    account: str, product: str | None, reason: str | None, until: str | None, json_wanted: bool
) -> None:
    """Switch ACCOUNT off, even with credit: a manual order.

    Example: ringfence suspend acme-1001 --reason "fraud on the trunk" --until 2026-12-01
    """
    body = body_of(product, reason, until)
    answer = front_door().ask("POST", path_of("clients", account, "suspend"), json=body)
    show_what_happens(account, answer, json_wanted=json_wanted)


@click.command()
@click.argument("account")
@product_option
@reason_option
@output_options
def unsuspend(account: str, product: str | None, reason: str | None, json_wanted: bool) -> None:
    """End ACCOUNT's manual order, and say whether it goes on.

    Example: ringfence unsuspend acme-1001
    """
    body = body_of(product, reason)
    answer = front_door().ask("POST", path_of("clients", account, "unsuspend"), json=body)
    show_what_happens(account, answer, json_wanted=json_wanted)


@click.command()
@click.argument("account", required=False)
@limit_option()
@output_options
def services(account: str | None, limit: int | None, json_wanted: bool) -> None:
    """Show what is wanted of services, and confirmed on the PBX.

    Of ACCOUNT, or of all clients; with the last error. A client in shadow shows what would be.

    Example: ringfence services acme-1001
    """
    columns = (
        titled("product", "service_id"),
        titled("account", "account_id"),
        titled("server", "server_id"),
        ("wanted", _wanted),
        ("confirmed", lambda row: _ON_OFF.get(row["confirmed"], "not yet")),
        moment("since", "since"),
    )
    place = path_of("clients", account, "services") if account else "/services"
    rows = front_door().listing(place, limit)
    empty = "No service was switched, or was meant to be, so far."
    show_rows(
        rows,
        columns,
        json_wanted=json_wanted,
        empty=empty,
        noun="service",
        detail=lambda row: row["last_error"] and f"last error: {row['last_error']}",
        shrinks="account",
    )


def _wanted(row: Row) -> str:
    """What the PBX is to be; for a client in shadow, what it would be."""
    if not row["live"] and row["would"] != "leave":
        return f"would be {_ON_OFF[row['would']]}"
    return _ON_OFF[row["wanted"]]
