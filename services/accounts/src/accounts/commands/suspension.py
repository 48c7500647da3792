"""`ringfence suspend`, `unsuspend`, `services`: what is switched off, and why it may not be."""

import click

from accounts.commands.connection import front_door, path_of
from accounts.commands.tables import (
    as_json,
    field,
    limit_option,
    moment,
    show_facts,
    show_rows,
    titled,
)

_SHOWN = ("account_id", "version", "manual_voip_suspend", "voip_suspended", "warnings")


@click.command()
@click.argument("account")
@as_json
def suspend(account: str, json_wanted: bool) -> None:
    """Suspend all services of ACCOUNT, even with funds."""
    _switch(account, "suspend", json_wanted)


@click.command()
@click.argument("account")
@as_json
def unsuspend(account: str, json_wanted: bool) -> None:
    """Return ACCOUNT to the rules of its credit."""
    _switch(account, "unsuspend", json_wanted)


def _switch(account: str, action: str, json_wanted: bool) -> None:
    answer = front_door().ask("POST", path_of("clients", account, action))
    facts = answer if json_wanted else {name: answer[name] for name in _SHOWN}
    show_facts(facts, json_wanted=json_wanted)


@click.command()
@click.argument("account", required=False)
@limit_option(100)
@as_json
def services(account: str | None, limit: int, json_wanted: bool) -> None:
    """Show services, of ACCOUNT or of all: wanted, confirmed on the PBX, last error."""
    columns = (
        titled("product", "service_id"),
        titled("account", "account_id"),
        titled("server", "server_id"),
        field("wanted"),
        field("confirmed"),
        moment("since", "since"),
        titled("last error", "last_error"),
    )
    place = path_of("clients", account, "services") if account else "/services"
    rows = front_door().pages(place, limit)
    empty = "No service was switched, or was meant to be, so far."
    show_rows(rows, columns, json_wanted=json_wanted, empty=empty)
