"""The lines of a table, with a sentence below each row for text that does not fit into a column."""

import textwrap
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size

GAP = "  "
_INDENT = "    "
_LEAST = 8


class TableLayout(NamedTuple):
    """How wide a table is, and which column makes room for the others.

    `shrinks` is cut; None: the widest column that is neither `right` nor `whole` is folded.
    `right` are the titles of columns with numbers, `whole` those that stay whole.
    """

    width: int
    shrinks: str | None
    right: Collection[str]
    whole: Collection[str] = ()


def lines(
    titles: Sequence[str],
    cells: Sequence[Sequence[str]],
    details: Sequence[str],
    layout: TableLayout,
) -> Iterator[str]:
    """The lines of a table that is as wide as the layout says.

    A first cell that is longer than its column gets a line of its own and is never cut: people
    copy it.
    """
    flexible = _flexible(titles, cells, layout)
    folds = layout.shrinks is None
    widths = _widths(titles, cells, layout.width, flexible, folds=folds)
    yield _line(titles, titles, widths, layout)
    yield GAP.join("─" * size for size in widths)
    for row, detail in zip(cells, details, strict=True):
        first, *rest = row
        if cell_len(first) > widths[0] and not (folds and flexible == 0):
            yield first
            first = ""
        yield from _row_lines(titles, (first, *rest), widths, layout, flexible)
        yield from (_INDENT + line for line in fold(detail, layout.width - 1 - len(_INDENT)))


def fold(text: str, size: int) -> list[str]:
    """The text in lines of at most `size` columns, between words where that is possible."""
    if cell_len(text) <= size:
        return [text] if text else []
    found = textwrap.wrap(text, size, break_long_words=False, break_on_hyphens=False)
    return [part for line in found for part in chop_cells(line, size)]


def _flexible(titles: Sequence[str], cells: Sequence[Sequence[str]], layout: TableLayout) -> int:
    """The column that makes room for the others."""
    if layout.shrinks is not None:
        return titles.index(layout.shrinks)
    sizes = [max(map(cell_len, column)) for column in zip(titles, *cells, strict=True)]
    fixed = {*layout.right, *layout.whole}
    return max(range(len(titles)), key=lambda at: (titles[at] not in fixed, sizes[at]))


def _widths(
    titles: Sequence[str],
    cells: Sequence[Sequence[str]],
    width: int,
    flexible: int,
    *,
    folds: bool,
) -> list[int]:
    columns = zip(titles, *cells, strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    if not folds:
        widths[0] = min(widths[0], max(width // 5, cell_len(titles[0])))
    over = sum(widths) + len(GAP) * (len(widths) - 1) - width
    if over > 0:
        taken = min(over, max(0, widths[flexible] - _LEAST))
        widths[flexible] -= taken
        if not folds:  # A first cell that does not fit any more has a line of its own.
            widths[0] = max(cell_len(titles[0]), widths[0] - (over - taken))
    return widths


def _row_lines(
    titles: Sequence[str],
    row: Sequence[str],
    widths: Sequence[int],
    layout: TableLayout,
    flexible: int,
) -> Iterator[str]:
    """The line of a row; more of them where a cell is folded."""
    if layout.shrinks is not None:
        yield _line(titles, row, widths, layout)
        return
    parts = fold(row[flexible], widths[flexible]) or [""]
    yield _line(titles, [*row[:flexible], parts[0], *row[flexible + 1 :]], widths, layout)
    blank = [""] * len(row)
    for part in parts[1:]:
        yield _line(titles, [*blank[:flexible], part, *blank[flexible + 1 :]], widths, layout)


def _line(
    titles: Sequence[str], row: Sequence[str], widths: Sequence[int], layout: TableLayout
) -> str:
    parts = []
    for title, text, size in zip(titles, row, widths, strict=True):
        room = size - cell_len(text)
        if room < 0:
            parts.append(set_cell_size(text, size - 1) + "…")
        elif title in layout.right:
            parts.append(" " * room + text)
        else:
            parts.append(text + " " * room)
    return GAP.join(parts).rstrip()
