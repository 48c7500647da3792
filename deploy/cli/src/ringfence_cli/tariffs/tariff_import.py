"""`ringfence tariff import`: validate and compare a file, then make it a version."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from ringfence_cli.connection import ApiClient, api_client, path_of
from ringfence_cli.tables import output_options, show_warnings
from ringfence_cli.tariffs.tariff_changes import (
    check_quiet,
    confirm,
    confirmed,
    dry_run_option,
    largest_option,
    show_diff,
    show_version,
    yes_option,
)
from ringfence_cli.tariffs.tariff_prices import show_later, show_prices
from ringfence_cli.times import parse_instant

_CHUNK = 256 * 1024
_LAYOUT = {
    "map", "ignore_columns", "layout", "header_line", "delimiter", "decimal", "increment",
    "rate_per", "price_unit", "dates", "zone", "encoding", "sheet", "put_in_front",
}  # fmt: skip
"""Parameters that are remembered when a version is made, or that it exists is confirmed."""


@click.command("import")
@click.argument("tariff_id")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--currency", help="ISO 4217, such as CAD; needed for a tariff's first version")
@click.option("--effective-from", help="such as 2026-12-01T00:00; left out: now")
@click.option("--name", help="what to call it; left out: as before, or its id")
@click.option(
    "--map",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="what the file calls a column, such as Prefix=Code, or its position: Prefix=#2",
)
@click.option(
    "--ignore-columns",
    multiple=True,
    metavar="NAMES",
    help="columns from which nothing is computed, with commas; none: forget those of before",
)
@click.option("--layout", metavar="NAME", help="remember the file's layout by this name, or use it")
@click.option(
    "--header",
    "header_line",
    type=click.Choice(("present", "none")),
    help="none: the first line is a row, and --map gives positions",
)
@click.option(
    "--delimiter",
    type=click.Choice(("comma", "semicolon", "tab", "pipe", "auto")),
    help="left out: found out",
)
@click.option("--decimal", type=click.Choice(("point", "comma")), help="left out: point")
@click.option("--increment", help="of rows that have none, such as 60/60")
@click.option("--rate-per", type=click.Choice(("minute", "second")), help="left out: minute")
@click.option(
    "--price-unit",
    type=click.Choice(("one", "hundredth", "thousandth")),
    help="of the currency, in which all prices are; left out: one",
)
@click.option(
    "--dates", type=click.Choice(("dmy", "mdy")), help="how to read dates such as 03/04/2027"
)
@click.option("--zone", help="in which dates begin, such as Europe/London; left out: UTC")
@click.option("--encoding", type=click.Choice(("utf-8", "cp1252")), help="left out: utf-8")
@click.option("--sheet", metavar="NAME", help="of a workbook that has several with rows")
@click.option(
    "--put-in-front",
    metavar="DIGITS",
    help="before every code without a +, such as 1 before area codes of North America",
)
@dry_run_option
@yes_option
@largest_option
@output_options
def import_tariff(
    tariff_id: str, file: Path, dry_run: bool, yes: bool, as_json: bool, **given: Any
) -> None:
    """Import a rate deck: CSV or xlsx with Description, Prefix, RateValue, Increment.

    What would change, and what calls will cost, is shown first, and asked for unless --yes. The
    file takes effect whole or not at all; bad rows are listed by line. Rows with dates make a
    version for each date. How a carrier's file is laid out is given once, and remembered with the
    tariff; columns that nothing reads must be named by --ignore-columns.

    Example: ringfence tariff import retail rates.csv --effective-from 2026-12-01T00:00
    """
    check_quiet(as_json, yes or dry_run)
    api = api_client()
    given["effective_from"] = parse_instant("--effective-from", given["effective_from"])
    params = {name: value for name, value in given.items() if value not in (None, ())}
    answer = _post(api, tariff_id, file, {**params, "dry_run": dry_run or not yes})
    is_new = answer["new"] or any(each["new"] for each in answer["later"])
    if not as_json:
        show_diff(answer["diff"])
        show_prices(answer["prices"], answer["currency"])
        show_later(answer["later"])
    if not (yes or dry_run) and (is_new or set(params) & _LAYOUT):
        confirm(answer)
        agreed = {**params, **confirmed(answer), "sha256": answer["digest"]}
        answer = _post(api, tariff_id, file, agreed)
    elif not as_json:
        show_warnings(answer)
    show_version(answer, as_json=as_json)


def _post(api: ApiClient, tariff_id: str, file: Path, params: dict[str, Any]) -> dict[str, Any]:
    """Upload the file, with a progress bar on a terminal."""
    size = file.stat().st_size
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        return api.send(
            "POST",
            path_of("tariffs", tariff_id, "versions"),
            params=params,
            headers={"Content-Type": "text/csv", "Content-Length": str(size)},
            content=_pieces(file, bar, bar.add_task("uploading", total=size)),
        )


def _pieces(file: Path, bar: Progress, task: TaskID) -> Iterator[bytes]:
    with file.open("rb") as raw:
        while piece := raw.read(_CHUNK):
            yield piece
            bar.advance(task, len(piece))
    bar.add_task("validating and comparing", total=None)
