"""`ringfence product`: a client's products, in the formats of their own fields."""

from typing import Any

import click

from accounts.products.fields import LABELS
from ringfence_cli.connection import ApiClient, api_client, fail, path_of
from ringfence_cli.service_commands import EXIT_REFUSED_OR_SILENT, await_answer, show_answer
from ringfence_cli.tables import (
    TableRow,
    output_options,
    print_json,
    print_sentence,
    show_facts,
    show_rows,
    titled,
)
from ringfence_cli.times import parse_instant

_KINDS = ("fusionpbx", "vodia", "lesnet")
_NO_FACTS = ("service", "stays_off", "words", "release_request", "what_happens")

_release_option = click.option(
    "--release",
    is_flag=True,
    help="switch on at once what leaves the product while it is off",
)


@click.group()
def product() -> None:
    """Products of a client: list, show, set, remove."""


@product.command("list")
@click.argument("account")
@output_options
def list_products(account: str, as_json: bool) -> None:
    """List a client's products.

    Example: ringfence product list acme-1001
    """
    rows = api_client().get(path_of("clients", account, "products"))["items"]
    columns = (
        titled("product", "service_id"),
        titled("kind", "kind"),
        titled("server", "server_id"),
        titled("package", "package"),
    )
    show_rows(
        rows,
        columns,
        as_json=as_json,
        empty=f"{account} has no products.",
        noun="product",
        detail=_where,
        shrinks="package",
    )


def _where(row: Any) -> str:
    """The line below a product: its tenant, DIDs and extensions."""
    service = row["service"]
    rest = ["*"] if service["rest_of_tenant"] else []
    ranges = service.get("extension_ranges", [])
    parts = (service["tenant"], *service["dids"]), [*service["extensions"], *ranges, *rest]
    return "; extensions ".join(" | ".join(part) for part in parts if part)


@product.command("show")
@click.argument("account")
@click.argument("product_id")
@output_options
def show_product(account: str, product_id: str, as_json: bool) -> None:
    """Show one product, as it was typed.

    Example: ringfence product show acme-1001 pbx-1001
    """
    facts = api_client().get(path_of("clients", account, "products", product_id))
    show_facts(facts, as_json=as_json, skip=("service",))


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
    "--hang-up",
    type=click.Choice(("never", "credit")),
    help="whether calls in progress are ended when the credit is used up; left out: as it is",
)
@_release_option
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
    release: bool,
    fields: tuple[str, ...],
    as_json: bool,
    **given: str | None,
) -> None:
    """Create or replace a product, whole.

    suspend_by=outbound keeps inbound and emergency calls while it is off (FusionPBX); extensions
    "2112 | *" are 2112 and all that no other product of the tenant lists.

    Example: ringfence product set acme-1001 pbx-1001 --kind fusionpbx --server pbx1
    --package standard --field extensions="2112 | 2113" --field suspend_by=outbound
    --field domain_tenant_and_main_dids="acme.example.com | 4165550100"
    """
    body = {**given, "prepaid": not metered, **dict(map(_named, fields))}
    if bill_from:
        body["bill_from"] = parse_instant("--bill-from", bill_from)
    path = path_of("clients", account, "products", product_id)
    api = api_client()
    answer = api.send("PUT", path, json=body, params=_release(release))
    show_facts(answer, as_json=as_json, skip=_NO_FACTS)
    if not as_json:
        print_sentence(f"{product_id}: {answer['what_happens']}")
    _finish(api, account, answer, as_json=as_json)


def _release(release: bool) -> dict[str, str]:
    return {"release": "true"} if release else {}


def _finish(api: ApiClient, account: str, answer: TableRow, *, as_json: bool) -> None:
    """Print what stays off after it left a product; await the suspender if it is released.

    With JSON nothing is printed, but the suspender is awaited as well.
    """
    if answer["words"] and not as_json:
        print_sentence(answer["words"])
    if answer["release_request"] is None:
        return
    found = await_answer(api, answer["release_request"])
    if not as_json:
        show_answer(found, shows=f"ringfence services {account} --elements")
    elif found["state"] != "done":
        fail(f"the release is {found['state']}: {found['answer']}", EXIT_REFUSED_OR_SILENT)


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
@_release_option
@output_options
def remove_product(account: str, product_id: str, release: bool, as_json: bool) -> None:
    """Remove a product: its later calls go to the unrated queue.

    What was switched off for it stays off as long as the client is; with --release it is switched
    on at once, also when the product was removed before.

    Example: ringfence product remove acme-1001 pbx-1001 --release
    """
    api = api_client()
    path = path_of("clients", account, "products", product_id)
    answer = api.send("DELETE", path, params=_release(release))
    if as_json:
        print_json(answer)
    else:
        print_sentence(
            f"removed {product_id} of {account}: its later calls go to the unrated queue"
        )
    _finish(api, account, answer, as_json=as_json)


@product.command("fields")
@output_options
def list_fields(as_json: bool) -> None:
    """List the fields of products: the name for --field, and the label.

    Example: ringfence product fields
    """
    if as_json:
        print_json(LABELS)
        return
    for name, label in LABELS.items():
        click.echo(f"{name:28} {label}")
