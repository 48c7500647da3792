"""`ringfence package`: how products are rated."""

import click

from ringfence_cli.connection import api_client, fail, path_of
from ringfence_cli.tables import (
    output_options,
    plural,
    print_sentence,
    show_facts,
    show_rows,
    titled,
)
from ringfence_contracts.events.account import Package

_USERS = "accounts_told"
_LISTS = (
    "hide", "not_billed", "inbound_rates", "free_bundles", "free_minutes_prefixes",
    "free_minutes_without", "time_bands",
)  # fmt: skip


@click.group()
def package() -> None:
    """Packages: list, show, set."""


@package.command("list")
@output_options
def list_packages(as_json: bool) -> None:
    """List packages.

    Example: ringfence package list
    """
    columns = (
        titled("package", "package_id"),
        titled("tariff", "tariff_id"),
        titled("markup %", "markup_percent"),
        titled("country", "country_code"),
        titled("inbound", "inbound_enabled"),
        titled("free min", "free_minutes"),
    )
    rows = api_client().get("/packages")["items"]
    empty = "No packages yet: `ringfence package set PACKAGE tariff_id=TARIFF`."
    show_rows(rows, columns, as_json=as_json, empty=empty, noun="package")


@package.command("show")
@click.argument("package_id")
@output_options
def show_package(package_id: str, as_json: bool) -> None:
    """Show one package.

    Example: ringfence package show standard
    """
    show_facts(api_client().get(path_of("packages", package_id)), as_json=as_json)


@package.command("set")
@click.argument("package_id")
@click.argument("changes", nargs=-1, required=True, metavar="NAME=VALUE…")
@output_options
def set_package(package_id: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Create a package, or change fields of one, such as markup_percent=120.

    Example: ringfence package set standard tariff_id=retail markup_percent=120

    Takes effect at once for all accounts that use it. A field set to nothing
    (`custom_inbound_rate=`) gets its default; lists such as not_billed take their items separated
    by commas, inbound_rates each as DIDS:RATE:INCREMENT, such as toll-free:0.035:6/6,
    free_bundles each as NAME:MINUTES:PREFIX/PREFIX…, such as europe:200:44/33,
    time_bands each as NAME:DAYS:BEGINS-ENDS:TARIFF:MARKUP, such as
    evening:mon-fri:18:00-08:00::80, with a tariff, a markup or both.
    """
    api = api_client()
    body = api.find(path_of("packages", package_id)) or {}
    body.pop("package_id", None)
    for change in changes:
        name, separator, value = change.partition("=")
        if not separator or name not in Package.model_fields:
            fail(f"{change!r}: write NAME=VALUE, NAME one of {', '.join(Package.model_fields)}")
        body[name] = [part for part in value.split(",") if part] if name in _LISTS else value
    body = {name: value for name, value in body.items() if value not in ("", None)}
    answer = api.send("PUT", path_of("packages", package_id), json=body)
    show_facts(answer, as_json=as_json, skip=(_USERS,))
    if not as_json:
        users = answer[_USERS]
        effect = (
            f"in force for the calls of {plural(users, 'client')} from now on"
            if users
            else "saved; it changes nothing for any client now"
        )
        print_sentence(f"{package_id}: {effect}")
