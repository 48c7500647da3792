"""`ringfence tariff`: rate decks; each import is a whole, immutable version."""

from typing import Any

import click

from ringfence_cli.connection import api_client, fail, path_of
from ringfence_cli.tables import (
    field,
    instant,
    limit_option,
    output_options,
    print_json,
    show_facts,
    show_rows,
    titled,
)
from ringfence_cli.tariffs.tariff_changes import diff, rollback
from ringfence_cli.tariffs.tariff_files import columns, export_tariff, layout
from ringfence_cli.tariffs.tariff_import import import_tariff

_NO_TARIFFS = "No tariffs yet: `ringfence tariff import TARIFF FILE --currency …`."


@click.group()
def tariff() -> None:
    """Tariffs: import, export, compare, roll back, look up."""


for command in (import_tariff, export_tariff, columns, layout, diff, rollback):
    tariff.add_command(command)


@tariff.command("list")
@output_options
def list_tariffs(as_json: bool) -> None:
    """List tariffs, each as its latest version.

    Example: ringfence tariff list
    """
    columns = (
        titled("tariff", "tariff_id"),
        titled("version", "version_id"),
        titled("cur", "currency"),
        titled("rows", "rows"),
        instant("effective from", "effective_from"),
        titled("by", "created_by"),
    )
    rows = api_client().get("/tariffs")["items"]
    show_rows(rows, columns, as_json=as_json, empty=_NO_TARIFFS, noun="tariff")


@tariff.command("versions")
@click.argument("tariff_id")
@output_options
def list_versions(tariff_id: str, as_json: bool) -> None:
    """List the versions of a tariff, the newest first.

    Example: ringfence tariff versions retail
    """
    columns = (
        titled("version", "version_id"),
        instant("effective from", "effective_from"),
        instant("until", "until"),
        titled("state", "state"),
        titled("rows", "rows"),
        ("by", _made_by),
    )
    rows = api_client().get(path_of("tariffs", tariff_id, "versions"))["items"]
    show_rows(rows, columns, as_json=as_json, empty=_NO_TARIFFS, noun="version")


def _made_by(row: Any) -> str:
    restored = f" (rows of {row['restores']})" if row["restores"] else ""
    return f"{row['created_by']}{restored}"


@tariff.command("show")
@click.argument("tariff_id")
@click.option("--version", type=click.IntRange(1), help="left out: the one in force")
@click.option("--prefix", help="which row would match this number or prefix, such as 1416")
@limit_option(10)
@output_options
def show_tariff(
    tariff_id: str, version: int | None, prefix: str | None, limit: int, as_json: bool
) -> None:
    """Show a version of a tariff and its first rows, or the row that a number matches.

    Example: ringfence tariff show retail --prefix 14165550100
    """
    api = api_client()
    if prefix is not None:
        path = path_of("tariffs", tariff_id, "rate")
        found = api.get(path, number=prefix, version=version)
        _show_match(found, as_json=as_json)
        return
    facts = api.get(path_of("tariffs", tariff_id, "version"), version=version)
    path = path_of("tariffs", tariff_id, "rates")
    rows = list(api.pages(path, limit, version=facts["version_id"]))
    if as_json:
        print_json({**facts, "rates": rows})
        return
    show_facts(facts, as_json=False)
    columns = (field("prefix"), field("description"), field("rate"), field("increment"),
               field("status"))  # fmt: skip
    show_rows(rows, columns, as_json=False, empty="No rows.")


def _show_match(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    version = found["version"]
    name = f"version {version['version_id']} of {version['tariff_id']} ({version['state']})"
    if found["rate"] is None:
        click.echo(f"No row of {name} matches {found['number']}.")
        return
    click.echo(f"{found['number']} matches this row of {name}:")
    facts = {key: value for key, value in found["rate"].items() if value is not None}
    show_facts({**facts, "currency": version["currency"]}, as_json=False)


def _split(pair: str) -> tuple[str, str, str]:
    if "=" not in pair:
        fail(f"{pair}: expected FIELD=COLUMN, such as Prefix=Code")
    return pair.partition("=")


@tariff.command("map")
@click.argument("tariff_id")
@click.argument("pairs", nargs=-1, metavar="[FIELD=COLUMN]…")
@output_options
def map_columns(tariff_id: str, pairs: tuple[str, ...], as_json: bool) -> None:
    """Show what a tariff's files call their columns; or change it, such as Prefix=Code.

    `Prefix=` gives a field its own name again. Imports remember what `--map` says, too.

    Example: ringfence tariff map retail Prefix=Code
    """
    api = api_client()
    path = path_of("tariffs", tariff_id, "mapping")
    columns = api.get(path)
    if pairs:
        given = {name.strip().lower(): (name, column) for name, _, column in map(_split, pairs)}
        kept = {name: column for name, column in columns.items() if name.lower() not in given}
        columns = api.send("PUT", path, json={**kept, **dict(given.values())})
    if as_json:
        print_json(columns)
        return
    rows = [{"field": name, "column": column} for name, column in columns.items()]
    show_rows(rows, (field("field"), field("column")), as_json=False, empty="")
    if pairs:
        click.echo(f"The next import of {tariff_id} reads its file by these names.")
