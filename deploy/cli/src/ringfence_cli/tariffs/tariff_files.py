"""A deck as a file: `ringfence tariff export`, `tariff columns`, and `tariff layout`."""

from pathlib import Path
from typing import Any

import click

from ringfence_cli.connection import api_client, fail, path_of
from ringfence_cli.tables import field, output_options, print_json, show_facts, show_rows

_DECLARED = {
    "name": "layout",
    "header": "header line",
    "decimal_comma": "decimal comma",
    "put_in_front": "put in front",
    "rate_per": "rate per",
    "price_unit": "price unit",
    "ignored": "columns passed over",
}


@click.command("export")
@click.argument("tariff_id")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--version", type=click.IntRange(1), help="left out: the one in force")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def export_tariff(tariff_id: str, file: Path | None, version: int | None, force: bool) -> None:
    """Write a version of a tariff as CSV, to FILE or to standard output.

    An import of the file gives the same rows.

    Example: ringfence tariff export retail retail.csv
    """
    if file is not None and file.exists() and not force:
        fail(f"{file} exists: name another file, or add --force to replace it")
    path = path_of("tariffs", tariff_id, "export")
    pieces = api_client().pieces(path, version=version)
    if file is None:
        out = click.get_binary_stream("stdout")
        for piece in pieces:
            out.write(piece)
        return
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as whole:
            size = sum(whole.write(piece) for piece in pieces)
        part.replace(file)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{file}: {size} bytes; `ringfence tariff import {tariff_id} {file}` reads it.")


@click.command("columns")
@click.argument("tariff_id")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--sheet", metavar="NAME", help="of a workbook that has several with rows")
@output_options
def columns(tariff_id: str, file: Path, sheet: str | None, as_json: bool) -> None:
    """Show how the columns of a file would be read, and what they may be meant for.

    Nothing of the file takes effect.

    Example: ringfence tariff columns retail rates.csv
    """
    api = api_client()
    decks = path_of("tariffs", tariff_id, "decks")
    with file.open("rb") as raw:
        deck = api.send("POST", decks, params={"file_name": file.name[:100]}, content=raw)
    path = f"{decks}{path_of(deck['deck_id'])}"
    try:
        found = api.get(f"{path}/columns", sheet=sheet)
    finally:
        api.remove(path)
    if as_json:
        print_json(found)
        return
    shown = (
        field("name"),
        ("used as", lambda row: ", ".join(row["fields"]) or ("nothing" if row["ignored"] else "")),
        ("how", lambda row: row["how"] or ""),
        ("begins with", lambda row: ", ".join(row["examples"])),
    )
    show_rows(found["columns"], shown, as_json=False, empty="No columns.")
    if found["missing"]:
        click.echo(f"No column for: {', '.join(found['missing'])}.")
    if found["open"]:
        click.echo(f"Nothing would be computed from: {', '.join(found['open'])}.")


@click.command("layout")
@click.argument("tariff_id")
@click.option("--delete", is_flag=True, help="Delete what is remembered; a name stays for others.")
@output_options
def layout(tariff_id: str, delete: bool, as_json: bool) -> None:
    """Show what an import remembers of a tariff's files: columns and settings.

    Example: ringfence tariff layout retail
    """
    api = api_client()
    path = path_of("tariffs", tariff_id, "layout")
    found = api.send("DELETE", path) if delete else api.get(path)
    if as_json:
        print_json(found)
        return
    facts = _facts(found)
    if not facts:
        click.echo(f"Nothing is remembered of the files of {tariff_id}.")
        return
    show_facts(facts, as_json=False)


def _facts(found: dict[str, Any]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, value in found.items():
        if name == "columns":
            shown |= {f"column of {field}": column for field, column in value.items()}
        elif value not in (None, []):
            shown[_DECLARED.get(name, name)] = _words(value)
    return shown


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)
