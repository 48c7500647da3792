"""`ringfence product`: what a client has, in the formats of the product's own fields."""

from typing import Any

import click

from accounts.commands.connection import fail, front_door, path_of
from accounts.commands.tables import (
    output_options,
    print_json,
    show_facts,
    show_rows,
    show_warnings,
    titled,
)
from accounts.commands.times import typed
from accounts.products.fields import LABELS

_KINDS = ("fusionpbx", "vodia", "lesnet")


@click.group()
def product() -> None:
    """Products of a client: list, show, set, remove."""


@product.command("list")
@click.argument("account")
@output_options
def list_products(account: str, json_wanted: bool) -> None:
    """List a client's products.

    Example: ringfence product list acme-1001
    """
    rows = front_door().get(path_of("clients", account, "products"))["items"]
    columns = (
        titled("product", "service_id"),
        titled("kind", "kind"),
        titled("server", "server_id"),
        titled("package", "package"),
    )
    show_rows(
        rows,
        columns,
        json_wanted=json_wanted,
        empty=f"{account} has no products.",
        noun="product",
        detail=_place,
        shrinks="package",
    )


def _place(row: Any) -> str:
    """Where its calls come from, below a product."""
    service = row["service"]
    parts = (service["tenant"], *service["dids"]), service["extensions"]
    return "; extensions ".join(" | ".join(part) for part in parts if part)


@product.command("show")
@click.argument("account")
@click.argument("product_id")
@output_options
def show_product(account: str, product_id: str, json_wanted: bool) -> None:
    """Show one product, as it was typed.

    Example: ringfence product show acme-1001 pbx-1001
    """
    facts = front_door().get(path_of("clients", account, "products", product_id))
    show_facts(facts, json_wanted=json_wanted, skip=("service",))


@product.command("set")
@click.argument("account")
@click.argument("product_id")
@click.option("--kind", type=click.Choice(_KINDS), required=True)
@click.option("--server", "server_id", required=True, help="id of its server in the servers file")
@click.option("--package", help="id of its package")
@click.option("--name", default="", help="what the client calls it")
@click.option("--metered", is_flag=True, help="postpaid: rated, and never suspended")
@click.option(
    "--bill-from", help="calls that ended before are not billed, such as 2026-12-01T00:00"
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=TEXT",
    help="a field of this kind, such as extensions='2112 | 2113'; `product fields` lists them",
)
@output_options
def set_product(
    account: str,
    product_id: str,
    metered: bool,
    bill_from: str | None,
    fields: tuple[str, ...],
    json_wanted: bool,
    **given: str | None,
) -> None:
    """Create or replace a product, whole.

    Example: ringfence product set acme-1001 pbx-1001 --kind fusionpbx --server pbx1
    --package standard --field extensions="2112 | 2113"
    --field domain_tenant_and_main_dids="acme.example.com | 4165550100"
    """
    body = {**given, "prepaid": not metered, **dict(map(_named, fields))}
    if bill_from:
        body["bill_from"] = typed("--bill-from", bill_from)
    place = path_of("clients", account, "products", product_id)
    answer = front_door().ask("PUT", place, json=body)
    show_facts(answer, json_wanted=json_wanted, skip=("service",))


def _named(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    known = {label.lower(): name for name, label in LABELS.items()}
    if not separator:
        fail(f"--field {text!r}: write it as NAME=TEXT, such as extensions='2112 | 2113'")
    return known.get(name.strip().lower(), name.strip()), value


@product.command("remove")
@click.argument("account")
@click.argument("product_id")
@click.confirmation_option(prompt="Its calls will go to the unrated queue. Remove it?")
@output_options
def remove_product(account: str, product_id: str, json_wanted: bool) -> None:
    """Remove a product: its later calls go to the unrated queue.

    Example: ringfence product remove acme-1001 pbx-1001
    """
    answer = front_door().ask("DELETE", path_of("clients", account, "products", product_id))
    show_warnings(answer)
    if json_wanted:
        print_json(answer)
    else:
        click.echo(f"removed {product_id} of {account}")


@product.command("fields")
@output_options
def list_fields(json_wanted: bool) -> None:
    """List the fields of products: the name for --field, and the label.

    Example: ringfence product fields
    """
    if json_wanted:
        print_json(LABELS)
        return
    for name, label in LABELS.items():
        click.echo(f"{name:28} {label}")
