"""Tariff files: a CSV read whole, every bad row found, or a list of rates and its digest.

Source of the format: domain/billing, section 2.
"""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from accounts.decimal_text import canonical_decimal
from accounts.packages import INCREMENT, read_increment
from ringfence.errors import BadInput, RingfenceError, shown

REQUIRED = ("Description", "Prefix", "RateValue", "Increment")
MAX_ROWS = 1_000_000
REPORTED = 100
"""So many bad rows are listed; all are counted."""

_PREFIX = re.compile(r"\d{1,15}", re.ASCII)


class Rate(NamedTuple):
    """One row of a tariff: per-minute rate as canonical text, increments in seconds.

    `status` 1 is the tariff's rate; 0 sends the call to the package's custom rate.
    """

    prefix: str
    description: str
    rate: str
    initial_s: int
    increment_s: int
    status: int


@dataclass(frozen=True)
class BadRow:
    """What is wrong in one line of the file."""

    line: int
    field: str
    value: str
    expected: str


class BadTariff(RingfenceError):
    """A tariff file with bad rows: nothing of it takes effect."""

    def __init__(self, rows: list[BadRow], total: int) -> None:
        self.rows = rows
        self.total = total
        first = rows[0]
        super().__init__(
            f"{total} bad row{'s' if total > 1 else ''}; nothing of this file takes effect. Line "
            f"{first.line}: {first.field}: got {shown(first.value)}, expected {first.expected}"
        )


def read_rates(lines: Iterable[str]) -> list[Rate]:
    """All rates of a CSV, in the order of their prefixes.

    `lines` are the file's decoded lines. Raises BadInput when the file can not be read as a
    tariff, and BadTariff, with line numbers, when rows of it can not.
    """
    rows = _rows(lines)
    columns = _columns(next(rows, (1, []))[1])
    rates: dict[str, Rate] = {}
    bad: list[BadRow] = []
    total = 0
    for line, cells in rows:
        read = _read_row(line, cells, columns)
        if isinstance(read, Rate) and read.prefix in rates:
            read = BadRow(line, "Prefix", read.prefix, "each prefix once in a file")
        if isinstance(read, Rate):
            rates[read.prefix] = read
            continue
        total += 1
        if len(bad) < REPORTED:
            bad.append(read)
    if bad:
        raise BadTariff(bad, total)
    if not rates:
        raise BadInput("tariff", "no rows", "at least one rate below the header")
    return [rates[prefix] for prefix in sorted(rates)]


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the number of the line on which each ends."""
    reader = csv.reader(lines, strict=True)
    try:
        for count, cells in enumerate(reader):
            if count > MAX_ROWS:
                raise BadInput("tariff", f"line {reader.line_num}", f"at most {MAX_ROWS} rows")
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        place = f"line {reader.line_num}"
        raise BadInput("tariff", place, f"comma separated values ({error})") from None
    except UnicodeDecodeError:
        place = f"after line {reader.line_num}"
        raise BadInput("tariff", place, "text in UTF-8") from None


def _columns(header: list[str]) -> dict[str, int]:
    """Where the columns stand. Names are compared without regard to case."""
    places = {name.strip().removeprefix("\ufeff").lower(): at for at, name in enumerate(header)}
    missing = [name for name in REQUIRED if name.lower() not in places]
    if missing:
        expected = f"a header row with {', '.join(REQUIRED)}; {', '.join(missing)} is missing"
        raise BadInput("header", ",".join(header)[:200], expected)
    return {name: places[name.lower()] for name in (*REQUIRED, "status") if name.lower() in places}


def _read_row(line: int, cells: list[str], columns: dict[str, int]) -> Rate | BadRow:
    if len(cells) <= max(columns.values()):
        return BadRow(line, "row", ",".join(cells)[:200], f"{max(columns.values()) + 1} columns")
    description, prefix, rate_text, increment_text = (
        cells[columns[name]].strip() for name in REQUIRED
    )
    if not _PREFIX.fullmatch(prefix):
        return BadRow(line, "Prefix", prefix, "1 to 15 digits, such as 1204")
    if len(description) > 200 or not description.isprintable():
        return BadRow(line, "Description", description, "one line, at most 200 characters")
    rate = canonical_decimal(rate_text)
    if rate is None:
        return BadRow(line, "RateValue", rate_text, "a rate per minute such as 0.0125 or .03")
    seconds = read_increment(increment_text)
    if seconds is None:
        return BadRow(line, "Increment", increment_text, INCREMENT)
    status = (cells[columns["status"]].strip() or "1") if "status" in columns else "1"
    if status not in ("0", "1"):
        return BadRow(line, "status", status, "1 (tariff rate) or 0 (the package's custom rate)")
    return Rate(prefix, description, rate, *seconds, int(status))


def rows_digest(rates: Iterable[Rate]) -> str:
    """SHA-256 of a tariff version's rows, as hex.

    Over one line for each, `prefix,description,rate,initial/increment,status`, each ended by
    LF, in the order of the prefixes, in UTF-8. Whoever loads the rows computes the same.
    """
    digest = hashlib.sha256()
    for row in rates:
        line = (
            f"{row.prefix},{row.description},{row.rate},{row.initial_s}/{row.increment_s},"
            f"{row.status}\n"
        )
        digest.update(line.encode())
    return digest.hexdigest()
