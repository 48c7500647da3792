"""The process that reads a workbook from standard input and writes one sheet as CSV.

It is a process of its own because the reader of workbooks keeps a whole sheet in memory and may end
by a signal for a file that was made to exhaust it: the limits of `confine` end this process alone.
"""

import csv
import io
import re
import resource
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal

MEMORY = 1024 * 1024 * 1024
"""Bytes of address space."""

CPU_S = 60
OUTPUT = 256 * 1024 * 1024
"""Bytes of CSV."""

MAX_COLUMNS = 200
REFUSED = 3
"""Exit status: the reason is on standard error, in words."""

_BREAKS = re.compile(r"[\r\n\t\x0b\x0c]+")


class BadWorkbook(Exception):
    """The workbook cannot be read; the message is `got|expected`."""


def main() -> None:
    """Read standard input; the arguments are a sheet (blank: the only one) and a decimal sign."""
    confine()
    sheet, decimal = sys.argv[1], sys.argv[2]
    try:
        rows = read_sheet(sys.stdin.buffer.read(), sheet)
        out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
        csv.writer(out, lineterminator="\n").writerows(as_texts(rows, decimal))
        out.flush()
    except BadWorkbook as refused:
        sys.stderr.write(str(refused))
        sys.exit(REFUSED)


def confine() -> None:
    """Limit what this process may use."""
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, OUTPUT),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))


def read_sheet(raw: bytes, sheet: str) -> Iterable[Sequence[object]]:
    """The rows of a sheet, from its first row on. Raises BadWorkbook."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(raw))
        names = [m.name for m in book.sheets_metadata if "Visible" in str(m.visible)]
        filled = [n for n in names if book.get_sheet_by_name(n).height]
        chosen = _chosen(filled, sheet)
        found = book.get_sheet_by_name(chosen)
        if found.total_width > MAX_COLUMNS:
            raise BadWorkbook(f"{found.total_width} columns|at most {MAX_COLUMNS} columns")
        return found.to_python(skip_empty_area=False)
    except CalamineError as error:
        raise BadWorkbook(
            f"{error}|a workbook that can be read; save it again, or as CSV"
        ) from None


def _chosen(names: Sequence[str], sheet: str) -> str:
    listed = ", ".join(names[:20])
    if sheet:
        if sheet not in names:
            raise BadWorkbook(f"{sheet}|one of the sheets {listed}")
        return sheet
    if len(names) != 1:
        expected = (
            f'the name of one sheet with rows, by --sheet "NAME": {listed}'
            if names
            else ("a sheet with rows")
        )
        raise BadWorkbook(f"{len(names)} sheets with rows|{expected}")
    return names[0]


def as_texts(rows: Iterable[Sequence[object]], decimal: str) -> Iterator[list[str]]:
    """Cells as a person would type them, one line for each row of the sheet."""
    for row in rows:
        yield [cell_text(cell, decimal) for cell in row]


def cell_text(cell: object, decimal: str) -> str:
    """A cell as text: a number without an exponent, with at most the 15 digits that Excel keeps."""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, int | float):
        number = f"{Decimal(f'{cell:.15g}'):f}"
        if "." in number:
            number = f"{Decimal(number):.12f}".rstrip("0").rstrip(".")
        return number.replace(".", decimal)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ", "seconds")
    if isinstance(cell, date | time | timedelta):
        return str(cell)
    return _BREAKS.sub(" ", str(cell)).replace("\x00", "")


if __name__ == "__main__":
    main()
