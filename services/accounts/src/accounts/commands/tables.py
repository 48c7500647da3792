"""Answers as tables for 80 columns, or as JSON for machines."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

F = TypeVar("F", bound=Callable[..., Any])
Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], object]]
WIDTH = 80
_NUMERIC = frozenset(
    ("amount", "balance", "cost", "seconds", "rows", "version", "added", "removed", "dearer",
     "cheaper", "changed", "same")
)  # fmt: skip
_WHOLE = frozenset(("effective from", "until", "state", "version", "rows"))
"""Columns that never fold in a narrow table: another does."""

as_json: Callable[[F], F] = click.option(
    "--json", "json_wanted", is_flag=True, help="Print JSON, for machines."
)


def limit_option(default: int = 20) -> Callable[[F], F]:
    """`--limit`: how many rows at most."""
    return click.option(
        "--limit",
        type=click.IntRange(1, 100_000),
        default=default,
        show_default=True,
        help="Rows at most.",
    )


def show_rows(
    rows: Iterable[Row], columns: Sequence[Column], *, json_wanted: bool, empty: str
) -> None:
    """Print rows: a table, a sentence when there are none, or JSON."""
    found = list(rows)
    if json_wanted:
        print_json(found)
        return
    if not found:
        click.echo(empty)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for title, _ in columns:
        justify: JustifyMethod = "right" if title in _NUMERIC else "left"
        table.add_column(title, justify=justify, overflow="fold", no_wrap=title in _WHOLE)
    for row in found:
        # Cells are Text: what a client is called is never read as markup.
        table.add_row(*(Text(_cell(read(row))) for _, read in columns))
    _console().print(table)


def show_facts(facts: Row, *, json_wanted: bool, skip: Sequence[str] = ()) -> None:
    """Print one thing: a line for each of its facts, or JSON. Warnings go to standard error."""
    for warning in facts.get("warnings", ()):
        click.echo(f"warning: {warning}", err=True)
    if json_wanted:
        print_json(facts)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if name not in skip and name != "warnings" and not name.endswith("_micro"):
            table.add_row(name.replace("_", " "), Text(_cell(value)))
    _console().print(table)


def print_json(value: object) -> None:
    """Print what a machine asked for."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def field(name: str) -> Column:
    """A column that is a field of the answer."""
    return name.replace("_", " "), lambda row: row.get(name)


def titled(title: str, name: str) -> Column:
    """A column with another title than its field's name."""
    return title, lambda row: row.get(name)


def moment(title: str, name: str) -> Column:
    """A column with an instant, to the second, in UTC."""
    return title, lambda row: _moment(row.get(name))


def instant(title: str, name: str) -> Column:
    """A column with an instant of any year, to the minute, in UTC."""
    return title, lambda row: _instant(row.get(name))


def _instant(text: Any) -> str:
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M") if text else ""


def _moment(text: Any) -> str:
    return datetime.fromisoformat(text).strftime("%m-%d %H:%M:%S") if text else ""


def _cell(value: object) -> str:
    """A value on as little room as it needs; nothing in it moves the cursor."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " | ".join(map(_cell, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_cell(part)}" for name, part in value.items())
    return "".join(c if c.isprintable() else "·" for c in str(value))


def _console() -> Console:
    width = None if sys.stdout.isatty() else WIDTH
    return Console(width=width, highlight=False, soft_wrap=False)
