"""A table in which the text of one column is folded and every other cell is printed whole."""

import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click
from rich.cells import cell_len, chop_cells

from ringfence_cli.tables import WIDTH

_GAP = "  "
_LEAST = 12


class GridColumn(NamedTuple):
    """A column: its title, and whether its cells are numbers, which are aligned at the right."""

    title: str
    right: bool = False


def print_grid(
    columns: Sequence[GridColumn], rows: Sequence[Sequence[str]], *, folds: str, headed: bool = True
) -> None:
    """Print rows of texts; `folds` is the title of the column that is folded to make them fit."""
    for line in grid_lines(columns, rows, folds=folds, headed=headed, width=_width()):
        click.echo(line)


def grid_lines(
    columns: Sequence[GridColumn],
    rows: Sequence[Sequence[str]],
    *,
    folds: str,
    headed: bool,
    width: int,
) -> Iterator[str]:
    """The lines of a table, `width` characters wide if the cells that are not folded allow it."""
    titles = [column.title for column in columns]
    cells = [[_printable(cell) for cell in row] for row in rows]
    folded = titles.index(folds)
    measured = [titles, *cells] if headed else cells
    sizes = [max(map(cell_len, column)) for column in zip(*measured, strict=True)]
    over = sum(sizes) + len(_GAP) * (len(sizes) - 1) - width
    if over > 0:
        sizes[folded] = max(min(_LEAST, sizes[folded]), sizes[folded] - over)
    if headed:
        yield _line(columns, titles, sizes)
        yield _GAP.join("─" * size for size in sizes)
    for row in cells:
        first, *further = _fold(row[folded], sizes[folded])
        yield _line(columns, [*row[:folded], first, *row[folded + 1 :]], sizes)
        for part in further:
            blank = [""] * len(columns)
            blank[folded] = part
            yield _line(columns, blank, sizes)


def _line(columns: Sequence[GridColumn], texts: Sequence[str], sizes: Sequence[int]) -> str:
    parts = []
    for column, text, size in zip(columns, texts, sizes, strict=True):
        room = " " * (size - cell_len(text))
        parts.append(room + text if column.right else text + room)
    return _GAP.join(parts).rstrip()


def _fold(text: str, size: int) -> list[str]:
    """The text in parts of at most `size` columns; between words, where each character has one."""
    if cell_len(text) <= size:
        return [text]
    if cell_len(text) == len(text):
        return textwrap.wrap(text, size, break_on_hyphens=False) or [""]
    return chop_cells(text, size)


def _printable(text: str) -> str:
    """The text with `·` for characters that would move the cursor."""
    return "".join(c if c.isprintable() else "·" for c in text)


def _width() -> int:
    """The width of the terminal; elsewhere 80."""
    if not sys.stdout.isatty():
        return WIDTH
    from rich.console import Console

    return Console().width
