"""`ringfence client list` and `show`: clients, their state, and what ends it."""

from typing import Any

import click

from ringfence_cli.clients.client_changes import client_history, set_client
from ringfence_cli.clients.client_facts import show_client_facts
from ringfence_cli.clients.orders import show_orders
from ringfence_cli.clients.page_link import client_link
from ringfence_cli.connection import api_client, path_of
from ringfence_cli.tables import (
    TableColumn,
    field,
    instant,
    limit_option,
    output_options,
    print_json,
    show_rows,
    titled,
)

STATES = ("on", "off", "switching", "failed", "no-service", "would-be-off")


@click.group()
def client() -> None:
    """Clients: list, show, set, history, link."""


client.add_command(set_client)
client.add_command(client_history)
client.add_command(client_link)


@client.command("list")
@click.option("--search", help="part of an id, name, e-mail, DID, extension, tenant or product")
@click.option("--state", type=click.Choice(STATES), help="only clients in this state")
@click.option("--level", type=click.Choice(("ok", "low", "exhausted")), help="only this level")
@click.option("--mode", type=click.Choice(("live", "shadow")), help="only clients in this mode")
@click.option("--no-posting", is_flag=True, help="only clients without an opening balance")
@limit_option()
@output_options
def list_clients(
    search: str | None,
    state: str | None,
    level: str | None,
    mode: str | None,
    no_posting: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List clients: balance, level, state; below it the reason, and what ends it.

    `out` is when the credit is used up at the pace of the last days.

    Example: ringfence client list --state off --search 416555
    """
    filters = {"search": search, "state": state, "level": level, "mode": mode}
    found = api_client().listing("/clients", limit, posted="no" if no_posting else None, **filters)
    filtered = no_posting or any(filters.values())
    first = "No clients yet: `ringfence client set ACCOUNT --first-name … --currency …`."
    show_rows(
        found,
        _columns({row["currency"] for row in found.rows}),
        as_json=as_json,
        empty="No client is like that." if filtered else first,
        noun="client",
        detail=_why,
        shrinks="name",
    )


def _columns(currencies: set[str]) -> tuple[TableColumn, ...]:
    several = len(currencies) > 1
    money: tuple[TableColumn, ...] = (titled("cur", "currency"),) if several else ()
    return (
        titled("account", "account_id"),
        ("name", name_of),
        ("balance", lambda row: row["balance"] or "none"),
        *money,
        field("level"),
        ("state", state_of),
        instant("since", "since"),
        instant("out", "out_at"),
    )


def name_of(row: Any) -> str:
    """A client's name, or the company's name where no person is named."""
    return f"{row['first_name']} {row['last_name']}".strip() or str(row["company_name"])


def state_of(row: Any) -> str:
    """A client's state in two words; in shadow mode the state that it would have."""
    if row["mode"] == "live":
        return str(row["state"]).replace("-", " ")
    if row["would"] == "off":
        return "would be off"
    return f"shadow: {row['state']}".replace("no-service", "none")


def _why(row: Any) -> str:
    """The line below a client: why it is off, and what ends that."""
    if row["balance"] is None and row["opening_balance"] is not None:
        return "the opening balance is not posted yet"
    if row["balance"] is None:
        missing = (
            f"no opening balance: ringfence client set {row['account_id']} --opening-balance …"
        )
        return f"{row['reason']}; {missing}" if row["reason"] else missing
    if row["reason"] and row["brings_back"]:
        return f"{row['reason']}; brought back by {row['brings_back']}"
    return str(row["reason"])


@client.command("show")
@click.argument("account")
@output_options
def show_client(account: str, as_json: bool) -> None:
    """Show one client: balance, state and its reason, orders, products.

    Example: ringfence client show acme-1001
    """
    api = api_client()
    found = api.get(path_of("clients", account))
    products = api.get(path_of("clients", account, "products"))["items"]
    lines = api.get(path_of("clients", account, "explanation"))["lines"]
    if as_json:
        print_json({**found, "products": products, "lines": lines})
        return
    show_client_facts(found)
    click.echo()
    show_orders(found["orders"])
    click.echo()
    words = {line["product"]: line["words"] for line in lines}
    columns = (
        titled("product", "service_id"),
        field("kind"),
        titled("server", "server_id"),
        field("package"),
        instant("billed from", "bill_from"),
    )
    show_rows(
        products, columns, as_json=False, empty="No products.", noun="product",
        detail=lambda row: words.get(row["service_id"], ""), shrinks="package",
    )  # fmt: skip
    if found["departed"]:
        click.echo()
        _show_departed(found["departed"])


def _show_departed(rows: Any) -> None:
    """Print products that were removed while they were off."""
    columns = (
        titled("removed product", "product"),
        field("server"),
        field("confirmed"),
        instant("since", "since"),
    )
    show_rows(
        rows, columns, as_json=False, empty="", noun="product",
        detail=lambda row: row["words"], shrinks="server",
    )  # fmt: skip
