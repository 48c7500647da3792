"""`ringfence tariff`: rate cards, imported whole, each import a version."""

from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import wrap_file

from accounts.commands.connection import front_door, path_of
from accounts.commands.tables import as_json, moment, show_facts, show_rows, titled

_CHUNK = 256 * 1024


@click.group()
def tariff() -> None:
    """Tariffs: import, list."""


@tariff.command("import")
@click.argument("tariff_id")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--currency", required=True, help="ISO 4217, such as CAD")
@click.option("--effective-from", help="an instant with its zone; left out: now")
@click.option("--name", help="what to call it; left out: its id")
@as_json
def import_tariff(
    tariff_id: str,
    file: Path,
    currency: str,
    effective_from: str | None,
    name: str | None,
    json_wanted: bool,
) -> None:
    """Import a CSV with the columns Description, Prefix, RateValue, Increment [, status].

    It takes effect whole or not at all; bad rows are listed by line.
    """
    given = {"currency": currency, "effective_from": effective_from, "name": name}
    answer = front_door().ask(
        "POST",
        path_of("tariffs", tariff_id, "versions"),
        params={key: value for key, value in given.items() if value is not None},
        headers={"Content-Type": "text/csv", "Content-Length": str(file.stat().st_size)},
        content=_chunks(file),
    )
    show_facts(answer, json_wanted=json_wanted)


def _chunks(file: Path) -> Iterator[bytes]:
    """The file's content, with a bar on a terminal."""
    console = Console(stderr=True)
    with (
        file.open("rb") as raw,
        wrap_file(
            raw,
            file.stat().st_size,
            description="uploading",
            console=console,
            disable=not console.is_terminal,
        ) as shown,
    ):
        while chunk := shown.read(_CHUNK):
            yield chunk


@tariff.command("list")
@click.argument("tariff_id", required=False)
@as_json
def list_tariffs(tariff_id: str | None, json_wanted: bool) -> None:
    """List tariffs, or the versions of one."""
    place = path_of("tariffs", tariff_id, "versions") if tariff_id else "/tariffs"
    columns = (
        titled("tariff", "tariff_id"),
        titled("version", "version_id"),
        titled("cur", "currency"),
        titled("rows", "rows"),
        moment("effective from", "effective_from"),
        ("sha256", lambda row: row["sha256"][:12]),
        titled("by", "created_by"),
    )
    rows = front_door().get(place)["items"]
    empty = "No tariffs yet: `ringfence tariff import TARIFF FILE --currency …`."
    show_rows(rows, columns, json_wanted=json_wanted, empty=empty)
