"""Prints API responses as tables of 80 columns, as facts, or as JSON."""

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from ringfence_cli import listing, times
from ringfence_cli.connection import ListResult
from ringfence_cli.listing import fold

F = TypeVar("F", bound=Callable[..., Any])
TableRow = Mapping[str, Any]
TableColumn = tuple[str, Callable[[TableRow], object]]
WIDTH = 80
SHORT_ID = 8
_NUMERIC = frozenset(
    ("amount", "balance", "cost", "seconds", "rows", "version", "added", "removed", "dearer",
     "cheaper", "changed", "same", "after", "refunded", "products", "off", "accounts", "entries",
     "paid in", "charged", "charges", "differ", "difference", "calls")
)  # fmt: skip
_WHOLE = frozenset(
    ("effective from", "until", "state", "version", "rows", "amount", "balance", "cost", "since")
)
"""Columns that are never folded."""

INSTANTS = frozenset(("since", "until", "outstanding_as_of", "bill_from", "effective_from"))
"""Fields that are instants, in addition to those whose name ends in `_at`."""

_json_option: Callable[[F], F] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for machines."
)


class TimeColumn(NamedTuple):
    """A column of instants. A line below the table names their zone."""

    title: str
    read: Callable[[TableRow], object]


def output_options(command: F) -> F:
    """Adds the options `--json` and `--utc`, which every command has."""
    return _json_option(times.utc_option(command))


def limit_option(default: int | None = None) -> Callable[[F], F]:
    """Adds the option `--limit`, the maximum of rows; without a default: all."""
    return click.option(
        "--limit",
        type=click.IntRange(1, 100_000),
        default=default,
        show_default=True,
        help="Rows at most." if default else "Rows at most; left out: all.",
    )


def show_rows(
    rows: Iterable[TableRow] | ListResult,
    columns: Sequence[TableColumn],
    *,
    as_json: bool,
    empty: str,
    noun: str = "",
    detail: Callable[[TableRow], str] | None = None,
    shrinks: str = "",
    limited: bool = True,
) -> None:
    """Print rows: a table with a count below, a sentence when there are none, or JSON.

    `detail` is a sentence below a row. Where the table is too wide, the column `shrinks` is cut;
    if none is named, the text of the widest one is folded. `limited`: the command has --limit.
    """
    found = list(rows.rows if isinstance(rows, ListResult) else rows)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo(empty)
        return
    titles = [title for title, _ in columns]
    cells = [[_cell(read(row)) for _, read in columns] for row in found]
    details = [_cell(detail(row)) if detail else "" for row in found]
    layout = listing.TableLayout(_width(), shrinks or None, _NUMERIC, _WHOLE)
    for line in listing.lines(titles, cells, details, layout):
        click.echo(line)
    _print_foot(rows, len(found), columns, noun, limited=limited)


def _print_foot(
    rows: Iterable[TableRow] | ListResult,
    shown: int,
    columns: Sequence[TableColumn],
    noun: str,
    *,
    limited: bool,
) -> None:
    """The number of rows and their total, what shows the others, and the zone of the times."""
    parts = []
    if noun and isinstance(rows, ListResult) and rows.total not in (None, shown):
        total = rows.total or 0
        parts.append(f"{shown:,} of {plural(total, noun)}")
        if limited:
            parts[-1] += f"; {total - shown:,} more: --limit {total} shows all"
    elif noun and isinstance(rows, ListResult) and rows.more:
        parts.append(f"The first {plural(shown, noun)}; there are more: --limit {shown * 10}")
    elif noun:
        parts.append(plural(shown, noun))
    if any(isinstance(column, TimeColumn) for column in columns):
        parts.append(f"Times are in {times.zone_name()}")
    if parts:
        print_sentence(". ".join(parts) + ".")


def plural(count: int, noun: str) -> str:
    """`1 client`, `2 clients`, `2 entries`."""
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count:,} {noun if count == 1 else many}"


def show_facts(facts: TableRow, *, as_json: bool, skip: Sequence[str] = ()) -> None:
    """Print a line for each field, or JSON. Warnings go to standard error."""
    show_warnings(facts)
    if as_json:
        print_json(facts)
        return
    shown = {
        name.replace("_", " "): _fact(name, value)
        for name, value in facts.items()
        if name not in skip and name != "warnings" and not name.endswith("_micro")
    }
    size = max(map(len, shown), default=0)
    for name, text in shown.items():
        first, *further = fold(text, _width() - size - len(listing.GAP)) or [""]
        gap = " " * (size - len(name)) + listing.GAP if first else ""
        click.echo(f"{click.style(name, bold=True)}{gap}{first}")
        for line in further:
            click.echo(f"{' ' * size}{listing.GAP}{line}")


def _fact(name: str, value: Any) -> str:
    if isinstance(value, str) and (name in INSTANTS or name.endswith("_at")):
        return times.sentence(value)
    return _cell(value)


def show_warnings(answer: TableRow) -> None:
    """Print the warnings of a response on standard error."""
    for warning in answer.get("warnings", ()):
        print_sentence(f"warning: {warning}", err=True)


def show_what_happens(account: str, answer: TableRow, *, as_json: bool) -> None:
    """Print what a change does, in the sentence of the response; or the response as JSON."""
    show_warnings(answer)
    if as_json:
        print_json(answer)
    else:
        print_sentence(f"{account}: {answer['what_happens']}")


def print_sentence(text: str, *, err: bool = False) -> None:
    """Print a sentence, wrapped between words."""
    folded = textwrap.wrap(
        _cell(text),
        _width() - 1,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    click.echo("\n".join(folded), err=err)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def field(name: str) -> TableColumn:
    """A column with a field of the row; its name is the title."""
    return name.replace("_", " "), lambda row: row.get(name)


def titled(title: str, name: str) -> TableColumn:
    """A column with a field of the row and a title of its own."""
    return title, lambda row: row.get(name)


def moment(title: str, name: str) -> TableColumn:
    """A column with an instant, to the second."""
    return TimeColumn(title, lambda row: times.cell(row.get(name), seconds=True))


def instant(title: str, name: str) -> TableColumn:
    """A column with an instant, to the minute."""
    return TimeColumn(title, lambda row: times.cell(row.get(name)))


def short_id(title: str, name: str) -> TableColumn:
    """A column with the first digits of an id: the commands that take it accept these alone."""
    return title, lambda row: str(row.get(name) or "")[:SHORT_ID]


def _cell(value: object) -> str:
    """A value as text for a cell, with instants of the API's sentences in the shown zone.

    Characters that would move the cursor become `·`.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " | ".join(map(_cell, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_cell(part)}" for name, part in value.items())
    return times.in_shown_zone("".join(c if c.isprintable() else "·" for c in str(value)))


def _width() -> int:
    """The width of the terminal; 80 elsewhere."""
    return shutil.get_terminal_size((WIDTH, 0)).columns if sys.stdout.isatty() else WIDTH
