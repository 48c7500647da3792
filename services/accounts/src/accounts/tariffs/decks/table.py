"""Finds the table in a file: its delimiter, the lines above it, its header, and its rows.

Pure: without clock, socket, database or logger.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import NamedTuple

from accounts.tariffs.decks.columns import (
    EXPORTED,
    REQUIRED,
    column_key,
    find_columns,
    required_fields,
)
from accounts.tariffs.decks.layout import DELIMITERS, DeckLayout
from ringfence_contracts.errors import BadInput

LOOKED_AT = 50
"""Lines in which the header is looked for."""

_BLANK = " \t\r\n,;|"
_INTEGER = re.compile(r"\+?\d{1,15}", re.ASCII)
_DECIMAL = re.compile(r"\d*[.,]\d+", re.ASCII)


class DeckTable(NamedTuple):
    """A table: its header (positions such as `#1` without one), and what is below it.

    `above` counts the lines before the header that hold a text; `before` all lines before the rows.
    `layout` is the one that was asked for, or that of a file which ringfence wrote.
    """

    header: Sequence[str]
    delimiter: str
    above: int
    before: int
    lines: Iterator[str]
    layout: DeckLayout


def find_table(lines: Iterable[str], layout: DeckLayout) -> DeckTable:
    """The table of a file. Raises BadInput when its header is not there."""
    head, written, source, layout = _beginning(lines, layout)
    if not layout.header:
        table = _without_header(head, written, source, layout)
        if "Prefix" not in layout.mapping:
            lines_written = [head[at] for at in written]
            raise BadInput("map", "", _positions(lines_written, table.delimiter, layout))
        return table
    at, delimiter = _header_line(head, written, layout)
    cells = _cells(head[at], delimiter)
    _check_header(cells, [head[line] for line in written], delimiter, layout)
    return _below(head, written, at, source, cells, delimiter, layout)


def seen_table(lines: Iterable[str], layout: DeckLayout) -> DeckTable:
    """The table that a file seems to have, whatever its columns are.

    A file whose header seems to be a row is read without one. Raises BadInput for an empty file.
    """
    head, written, source, layout = _beginning(lines, layout)
    if layout.header:
        at, delimiter = _header_line(head, written, layout)
        cells = _cells(head[at], delimiter)
        if not _is_row(cells):
            return _below(head, written, at, source, cells, delimiter, layout)
    return _without_header(head, written, source, replace(layout, header=False))


def _beginning(
    lines: Iterable[str], layout: DeckLayout
) -> tuple[list[str], list[int], Iterator[str], DeckLayout]:
    """The first lines, the places of those that are not blank, the rest, and the layout."""
    source = iter(lines)
    head = list(islice(source, LOOKED_AT))
    written = [at for at, line in enumerate(head) if line.strip(_BLANK)]
    if not written:
        raise BadInput("header", "", f"a header row with {', '.join(REQUIRED)}")
    if tuple(cell.strip() for cell in _try(head[written[0]], ",")) == EXPORTED:
        layout = DeckLayout()
    return head, written, source, layout


def _below(
    head: list[str], written: list[int], at: int, rest: Iterator[str], cells: list[str],
    delimiter: str, layout: DeckLayout,
) -> DeckTable:  # fmt: skip
    """The table below the header in line `at`."""
    lines = chain(head[at + 1 :], rest)
    return DeckTable(cells, delimiter, written.index(at), at + 1, lines, layout)


def _without_header(
    head: list[str], written: list[int], rest: Iterator[str], layout: DeckLayout
) -> DeckTable:
    first = head[written[0]]
    delimiter = _chosen(layout) or max(DELIMITERS.values(), key=lambda d: len(_try(first, d)))
    width = max(len(_try(head[at], delimiter)) for at in written)
    names = [f"#{at}" for at in range(1, width + 1)]
    return DeckTable(names, delimiter, 0, 0, chain(head, rest), layout)


def _header_line(head: list[str], written: list[int], layout: DeckLayout) -> tuple[int, str]:
    """The first line that names the most of the required columns, and its delimiter."""
    needed = required_fields(layout.mapping, default_increment=layout.increment is not None)
    wanted = {column_key(layout.mapping.get(name, name)) for name in needed}
    chosen = _chosen(layout)
    delimiters = [chosen] if chosen else list(DELIMITERS.values())
    best, found = (written[0], delimiters[0]), -1
    for at in written:
        for delimiter in delimiters:
            cells = _try(head[at], delimiter)
            hits = len(wanted & set(map(column_key, cells)))
            if hits > found:
                best, found = (at, delimiter), hits
        if found == len(wanted):
            break
    if not found and not chosen:  # nothing is known: propose by the widest reading of a header
        widest = max(
            ((at, d) for at in written for d in delimiters),
            key=lambda p: _written(_try(head[p[0]], p[1])),
        )
        best = next((at, widest[1]) for at in written if _wide(head, at, widest))
    return best


def _wide(head: list[str], at: int, widest: tuple[int, str]) -> bool:
    cells, most = _try(head[at], widest[1]), _try(head[widest[0]], widest[1])
    # A title before a table is filled up with blank cells.
    return len(cells) == len(most) and 2 * _written(cells) >= _written(most)


def _written(cells: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in cells)


def _check_header(cells: list[str], written: list[str], delimiter: str, layout: DeckLayout) -> None:
    """Raise BadInput where a line of rates is in the place of the header, with what to declare."""
    if _is_row(cells):
        expected = (
            "a header row; this is a row already. If the file has none: --header none "
            + _positions(written, delimiter, layout)
        )
        raise BadInput("header", ", ".join(cell.strip() for cell in cells)[:300], expected)
    find_columns(cells, layout.mapping, default_increment=layout.increment is not None)


def _is_row(cells: Sequence[str]) -> bool:
    """Whether a line is one of rates: a code, and a price that is not a code."""
    plain = [cell.strip() for cell in cells]
    has_code = any(_INTEGER.fullmatch(cell) for cell in plain)
    return has_code and sum(bool(_INTEGER.fullmatch(c) or _DECIMAL.fullmatch(c)) for c in plain) > 1


def _positions(written: Sequence[str], delimiter: str, layout: DeckLayout) -> str:
    """The options that give each column its field, by what the first rows hold."""
    rows = [_try(line, delimiter) for line in written[:20]]
    found = guessed_fields(rows, layout)
    steps = ("InitialIncrement", "NextIncrement")
    fields = ("Description", "Prefix", "RateValue", *(step for step in steps if step in found))
    named = [f'--map "{field}={found.get(field, "#" + chr(8230))}"' for field in fields]
    words = " ".join(named)
    if len(fields) == 3 and not layout.increment:
        words += " and --increment, such as --increment 60/60"
    return f"{words}: #2 is the second column"


def guessed_fields(rows: Sequence[Sequence[str]], layout: DeckLayout) -> dict[str, str]:
    """The position of the column of each field, by what rows without a header hold."""
    rows = [[cell.strip() for cell in row] for row in rows]
    width = max(map(len, rows), default=0)
    columns = [[row[at] for row in rows if at < len(row) and row[at]] for at in range(width)]
    codes = [at for at, c in enumerate(columns) if c and all(map(_INTEGER.fullmatch, c))]
    prices = [at for at, c in enumerate(columns) if c and any(map(_DECIMAL.fullmatch, c))]
    texts = [at for at, c in enumerate(columns) if c and not any(map(_INTEGER.fullmatch, c))]
    found = {
        "Description": [at for at in texts if at not in prices],
        "Prefix": codes,
        "RateValue": [at for at in prices if at not in codes],
    }
    guessed = {field: f"#{at[0] + 1}" for field, at in found.items() if at}
    steps = codes[1:3] if found["RateValue"] else []
    if len(steps) == 2 and not layout.increment:
        fields = ("InitialIncrement", "NextIncrement")
        guessed |= {field: f"#{at + 1}" for field, at in zip(fields, steps, strict=True)}
    return guessed


def _chosen(layout: DeckLayout) -> str | None:
    return DELIMITERS.get(layout.delimiter or "", layout.delimiter)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration) as error:
        raise BadInput("header", line[:200], f"one line of separated values ({error})") from None


def _try(line: str, delimiter: str) -> list[str]:
    """The cells of a line; none where quotes that fit one delimiter do not fit this one."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []
