"""`ringfence client`: who the clients are, and what governs their alerts and suspension."""

from typing import Any

import click

from accounts.commands.connection import FrontDoor, front_door, path_of
from accounts.commands.tables import as_json, field, limit_option, show_facts, show_rows, titled

_SETTABLE = (
    "first_name",
    "last_name",
    "company_name",
    "email",
    "wants_mail",
    "currency",
    "time_zone",
    "has_voip_service",
    "low_balance_threshold",
)
"""What a PUT replaces; the two suspension fields stay as they are unless they are given."""


@click.group()
def client() -> None:
    """Clients: list, show, set."""


@client.command("list")
@limit_option(100)
@as_json
def list_clients(limit: int, json_wanted: bool) -> None:
    """List clients."""
    columns = (
        titled("account", "account_id"),
        ("name", lambda row: f"{row['first_name']} {row['last_name']}".strip()),
        titled("cur", "currency"),
        titled("VoIP", "has_voip_service"),
        titled("threshold", "low_balance_threshold"),
        titled("manual", "manual_voip_suspend"),
        titled("suspended", "voip_suspended"),
    )
    rows = front_door().pages("/clients", limit)
    show_rows(
        rows,
        columns,
        json_wanted=json_wanted,
        empty="No clients yet: `ringfence client set ACCOUNT --first-name … --currency …`.",
    )


@client.command("show")
@click.argument("account")
@as_json
def show_client(account: str, json_wanted: bool) -> None:
    """Show one client, its balance and its products."""
    door = front_door()
    facts = door.get(path_of("clients", account))
    balance = door.get(path_of("clients", account, "balance"))
    products = door.get(path_of("clients", account, "products"))["items"]
    everything = {**facts, "balance": balance["balance"], "balance_micro": balance["balance_micro"]}
    if json_wanted:
        show_facts({**everything, "products": products}, json_wanted=True)
        return
    show_facts(everything, json_wanted=False)
    columns = (
        titled("product", "service_id"),
        field("kind"),
        titled("server", "server_id"),
        field("package"),
    )
    show_rows(products, columns, json_wanted=False, empty="No products.")


@client.command("set")
@click.argument("account")
@click.option("--first-name")
@click.option("--last-name")
@click.option("--company-name")
@click.option("--email")
@click.option("--wants-mail", help="yes or no")
@click.option("--currency", help="ISO 4217, such as CAD; can not change afterwards")
@click.option("--time-zone", help="IANA, such as America/Toronto")
@click.option("--has-voip-service", help="yes or no")
@click.option("--low-balance-threshold", help="15, $15 or 1,500; '' turns alerts off")
@click.option("--manual-voip-suspend", help="None, Yes or No")
@click.option("--voip-suspended", help="None, Yes or No: overrides the automatic state")
@as_json
def set_client(account: str, json_wanted: bool, **given: str | None) -> None:
    """Create a client, or change what is given of one."""
    door = front_door()
    changes = {name: value for name, value in given.items() if value is not None}
    answer = door.ask(
        "PUT", path_of("clients", account), json={**_standing(door, account), **changes}
    )
    show_facts(answer, json_wanted=json_wanted)


def _standing(door: FrontDoor, account: str) -> dict[str, Any]:
    """The profile as it stands, as far as a PUT would replace it; nothing for a new client."""
    found = door.find(path_of("clients", account))
    return {name: found[name] for name in _SETTABLE} if found else {}
