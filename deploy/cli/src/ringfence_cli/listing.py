"""A table with a sentence below each row, for text that does not fit into a column."""

import textwrap
from collections.abc import Callable, Iterator, Sequence

from rich.cells import cell_len, set_cell_size

_GAP = "  "
_INDENT = "    "
_LEAST = 8


def lines(
    titles: Sequence[str],
    cells: Sequence[Sequence[str]],
    details: Sequence[str],
    *,
    width: int,
    shrinks: str,
    right: Callable[[str], bool],
) -> Iterator[str]:
    """The lines of a table that is `width` characters wide.

    The column `shrinks` is cut where there is not enough room. A first cell that is longer than
    its column gets a line of its own and is never cut: people copy it.
    """
    widths = _widths(titles, cells, width, titles.index(shrinks))
    yield _line(titles, titles, widths, right)
    yield _GAP.join("─" * size for size in widths)
    for row, detail in zip(cells, details, strict=True):
        first, *rest = row
        if cell_len(first) > widths[0]:
            yield first
            first = ""
        yield _line(titles, (first, *rest), widths, right)
        yield from textwrap.wrap(
            detail, width - 1, initial_indent=_INDENT, subsequent_indent=_INDENT
        )


def _widths(
    titles: Sequence[str], cells: Sequence[Sequence[str]], width: int, flexible: int
) -> list[int]:
    columns = zip(titles, *cells, strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    widths[0] = min(widths[0], max(width // 5, cell_len(titles[0])))
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    if over > 0:
        widths[flexible] = max(min(_LEAST, widths[flexible]), widths[flexible] - over)
    return widths


def _line(
    titles: Sequence[str], row: Sequence[str], widths: Sequence[int], right: Callable[[str], bool]
) -> str:
    parts = []
    for title, text, size in zip(titles, row, widths, strict=True):
        room = size - cell_len(text)
        if room < 0:
            parts.append(set_cell_size(text, size - 1) + "…")
        elif right(title):
            parts.append(" " * room + text)
        else:
            parts.append(text + " " * room)
    return _GAP.join(parts).rstrip()
