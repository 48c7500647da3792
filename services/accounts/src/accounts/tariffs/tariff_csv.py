"""Parses tariff files (CSV) row by row. A row is a rate, or an error with its line and field.

Source of the format: domain/billing, section 2.

Pure: without clock, socket, database or logger.
"""

import csv
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from accounts.packages.terms import INCREMENT, read_increment
from accounts.tariffs.columns import REMARKS, REQUIRED, find_columns
from accounts.typed.decimal_text import canonical_decimal
from ringfence_contracts.errors import BadInput, RingfenceError, shown

MAX_ROWS = 1_000_000
MAX_LINE = 64 * 1024
"""Bytes of the longest line. It bounds what is read at once."""

REPORTED = 100
"""How many bad rows are listed; all are counted."""

MAX_RATE = 1_000_000
"""The highest rate per minute; rating cannot compute with more."""

MAX_TEXT = 200
DELIMITERS = (",", ";")
_PREFIX = re.compile(r"\d{1,15}", re.ASCII)
_RATE = f"a rate per minute such as 0.0125 or .03, at most {MAX_RATE}"
_POINT = f"{_RATE}; a decimal comma must be declared"
_COMMA = f"{_RATE.replace('.', ',')}, with the decimal comma that was declared"


class TariffRow(NamedTuple):
    """One row of a tariff: rate per minute as canonical text, increments in seconds.

    `line` is where the row begins in its file. `status` 1: the rate of the tariff is used; 0: the
    custom rate of the package. The last four are stored as written, None if they are missing.
    """

    line: int
    prefix: str
    description: str
    rate: str
    initial_s: int
    increment_s: int
    status: int
    short_description: str | None = None
    last_rate_change: str | None = None
    old_rate: str | None = None
    rate_premium: str | None = None


@dataclass(frozen=True)
class BadTariffRow:
    """The error of the row that begins in this line of the file."""

    line: int
    field: str
    value: str
    expected: str


class BadTariff(RingfenceError):
    """A tariff file with bad rows: nothing of it takes effect."""

    def __init__(self, rows: list[BadTariffRow], total: int) -> None:
        self.rows = rows
        self.total = total
        first = rows[0]
        super().__init__(
            f"{total} bad row{'s' if total > 1 else ''}; nothing of this file takes effect. Line "
            f"{first.line}: {first.field}: got {shown(first.value)}, expected {first.expected}"
        )


@dataclass(frozen=True)
class FileForm:
    """The format of a file: column names, delimiter (None: detected), decimal sign."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    delimiter: str | None = None
    decimal_comma: bool = False


class TariffReader:
    """Reads a file in pieces, so that memory stays bounded for a file of any length.

    `lines` are the lines of the file as bytes, each with its line end. After the last piece,
    `bad` has the first bad rows and `bad_total` their count.
    """

    def __init__(self, lines: Iterable[bytes], form: FileForm) -> None:
        self.bad: list[BadTariffRow] = []
        self.bad_total = 0
        self.rows = 0
        self._good = self._sift(read_rows(decode_lines(lines), form))

    def piece(self, rows: int = 5000) -> list[TariffRow]:
        """The next good rows; [] at the end. Raises BadInput when it is not a tariff file."""
        return list(islice(self._good, rows))

    def _sift(self, rows: Iterator[TariffRow | BadTariffRow]) -> Iterator[TariffRow]:
        for row in rows:
            if isinstance(row, TariffRow):
                self.rows += 1
                yield row
                continue
            self.bad_total += 1
            if self.bad_total <= REPORTED:
                self.bad.append(row)
        if not self.rows and not self.bad_total:
            raise BadInput("tariff", "no rows", "at least one rate below the header")


def decode_lines(lines: Iterable[bytes]) -> Iterator[str]:
    """Lines as text, without a byte order mark.

    Raises BadInput with the line for a line that is too long, and with the byte if it is not UTF-8.
    """
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            expected = f"lines of at most {MAX_LINE} bytes, ended by LF or CRLF"
            raise BadInput("tariff", f"line {number}", expected)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            where = f"line {number}, byte {error.start + 1}: 0x{line[error.start]:02X}"
            raise BadInput("tariff", where, "text in UTF-8; save the file as UTF-8") from None
        yield text.removeprefix("\ufeff") if number == 1 else text


def read_rows(lines: Iterable[str], form: FileForm) -> Iterator[TariffRow | BadTariffRow]:
    """The rows of a CSV in the order of the file, without blank ones.

    Duplicate prefixes are not detected here: that needs all rows. Raises BadInput when the header
    is not that of a tariff, or there are more than MAX_ROWS rows.
    """
    source = iter(lines)
    number, header = _first_written(source)
    delimiter = form.delimiter or _delimiter(header, form.mapping)
    cells = _header_cells(header, delimiter)
    columns = find_columns(cells, form.mapping)
    width = max(at for at, name in enumerate(cells, 1) if name.strip())
    read = _row_reader(columns, width, decimal_comma=form.decimal_comma)
    for count, (line, row) in enumerate(_rows(source, delimiter, number)):
        if count >= MAX_ROWS:
            raise BadInput("tariff", f"line {line}", f"at most {MAX_ROWS} rows")
        yield row if isinstance(row, BadTariffRow) else read(line, row)


def _first_written(lines: Iterator[str]) -> tuple[int, str]:
    for number, line in enumerate(lines, 1):
        if line.strip(" \t\r\n,;"):
            return number, line
    raise BadInput("header", "", f"a header row with {', '.join(REQUIRED)}")


def _header_cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise BadInput("header", line[:200], f"one line of separated values ({error})") from None


def _delimiter(header: str, mapping: Mapping[str, str]) -> str:
    """The delimiter that finds more of the required columns in the header."""
    wanted = {mapping.get(name, name).lower() for name in REQUIRED}

    def found(delimiter: str) -> int:
        try:
            cells = _header_cells(header, delimiter)
        except BadInput:  # quotes that fit one delimiter do not fit the other
            return -1
        return len(wanted & {name.strip().lower() for name in cells})

    return max(DELIMITERS, key=found)


def _rows(
    lines: Iterator[str], delimiter: str, passed: int
) -> Iterator[tuple[int, list[str] | BadTariffRow]]:
    """Rows that are not blank, each with its first line; `passed` lines come before them."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = passed + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield (
                line,
                BadTariffRow(line, "row", "", f"separated values that can be read ({error})"),
            )
            continue
        if any(cells):
            yield line, cells


def _row_reader(
    columns: Mapping[str, int], width: int, *, decimal_comma: bool
) -> Callable[[int, list[str]], TariffRow | BadTariffRow]:
    """A function that reads the rows below a given header."""
    places = [columns[name] for name in REQUIRED]
    status_at = columns.get("status")
    remarks_at = [columns.get(name) for name in REMARKS]
    has_remarks = any(at is not None for at in remarks_at)

    def read(line: int, cells: list[str]) -> TariffRow | BadTariffRow:
        # With a cell too many or too few, other cells would be read into the wrong fields.
        if len(cells) < width or any(cells[width:]):
            return BadTariffRow(line, "row", ",".join(cells)[:MAX_TEXT], f"{width} columns")
        description, prefix, rate, increment = [cells[at].strip() for at in places]
        status = (cells[status_at].strip() or "1") if status_at is not None else "1"
        row = _checked(line, prefix, description, rate, increment, status, decimal_comma)
        if isinstance(row, BadTariffRow) or not has_remarks:
            return row
        return _with_remarks(row, cells, remarks_at)

    return read


def _checked(
    line: int,
    prefix: str,
    description: str,
    rate_text: str,
    increment_text: str,
    status: str,
    decimal_comma: bool,
) -> TariffRow | BadTariffRow:
    if not _PREFIX.fullmatch(prefix):
        return BadTariffRow(line, "Prefix", prefix, "1 to 15 digits, such as 1204")
    if len(description) > MAX_TEXT or not description.isprintable():
        expected = f"one line, at most {MAX_TEXT} characters"
        return BadTariffRow(line, "Description", description, expected)
    rate = _read_rate(rate_text, decimal_comma)
    if rate is None:
        return BadTariffRow(line, "RateValue", rate_text, _COMMA if decimal_comma else _POINT)
    seconds = read_increment(increment_text)
    if seconds is None:
        return BadTariffRow(line, "Increment", increment_text, INCREMENT)
    if status not in ("0", "1"):
        return BadTariffRow(
            line, "status", status, "1 (tariff rate) or 0 (the package's custom rate)"
        )
    return TariffRow(line, prefix, description, rate, *seconds, int(status))


def _read_rate(text: str, decimal_comma: bool) -> str | None:
    if decimal_comma:
        text = "" if "." in text else text.replace(",", ".")
    rate = canonical_decimal(text)
    if rate is None:
        return None
    whole, _, fraction = rate.partition(".")
    return rate if (int(whole), fraction) <= (MAX_RATE, "") else None


def _with_remarks(
    row: TariffRow, cells: list[str], places: list[int | None]
) -> TariffRow | BadTariffRow:
    texts = [None if at is None else cells[at].strip() or None for at in places]
    for name, text in zip(REMARKS, texts, strict=True):
        if text and (len(text) > MAX_TEXT or not text.isprintable()):
            return BadTariffRow(row.line, name, text, f"one line, at most {MAX_TEXT} characters")
    return TariffRow(*row[:7], *texts)


class RowsDigest:
    """SHA-256 of the rows of a tariff version, added in the order of their prefixes.

    Each row is one line in UTF-8, `prefix,description,rate,initial/increment,status`, ended by
    LF. Rating computes the same digest over the rows that it loads.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, rows: Iterable[tuple[str, str, str, int, int, int]]) -> None:
        """Add rows: prefix, description, rate, initial and increment in seconds, status."""
        lines = [
            f"{p},{text},{rate},{first}/{more},{s}\n" for p, text, rate, first, more, s in rows
        ]
        self._digest.update("".join(lines).encode())

    def hex(self) -> str:
        """The digest of all rows so far."""
        return self._digest.hexdigest()
