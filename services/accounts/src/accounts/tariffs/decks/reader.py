"""Reads tariff files row by row, in pieces, so that memory stays bounded.

Source of the format: domain/billing, section 2.

Pure: without clock, socket, database or logger.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from accounts.tariffs.decks.columns import check_unused, find_columns
from accounts.tariffs.decks.layout import DeckLayout
from accounts.tariffs.decks.rows import BadTariffRow, DeckRowReader, LeftOut, TariffRow
from accounts.tariffs.decks.table import DeckTable, find_table
from accounts.tariffs.decks.text_lines import decode_lines
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.tariff import RateRow, digest_line

MAX_ROWS = 1_000_000

REPORTED = 100
"""How many bad rows are listed; all are counted."""


class TariffReader:
    """Reads a file in pieces, so that memory stays bounded for a file of any length.

    `lines` are the lines of the file as bytes, each with its line end. After the last piece,
    `bad` has the first bad rows and `bad_total` their count, `left_out` the counts of rows that are
    not for outbound calls, `above` the lines before the header, `unused` the columns passed over.
    """

    def __init__(self, lines: Iterable[bytes], layout: DeckLayout) -> None:
        self.bad: list[BadTariffRow] = []
        self.bad_total = 0
        self.rows = 0
        self.left_out: Counter[str] = Counter()
        self.above = 0
        self.unused: list[str] = []
        self.layout = layout
        self._good = self._sift(lines)

    def piece(self, rows: int = 5000) -> list[TariffRow]:
        """The next good rows; [] at the end. Raises BadInput when it is not a tariff file."""
        return list(islice(self._good, rows))

    def _sift(self, lines: Iterable[bytes]) -> Iterator[TariffRow]:
        table = find_table(decode_lines(lines, self.layout.encoding), self.layout)
        for row in self._read(table):
            if isinstance(row, TariffRow):
                self.rows += 1
                yield row
                continue
            self.bad_total += 1
            if self.bad_total <= REPORTED:
                self.bad.append(row)
        if not self.rows and not self.bad_total:
            raise BadInput("tariff", "no rows", "at least one rate below the header")

    def _read(self, table: DeckTable) -> Iterator[TariffRow | BadTariffRow]:
        """The rows of a table in the order of the file, without blank ones.

        Duplicate prefixes are not detected here: that needs all rows. Raises BadInput for columns
        that nothing reads, and for more than MAX_ROWS rows.
        """
        layout = table.layout
        plan = find_columns(
            table.header, layout.mapping, default_increment=layout.increment is not None
        )
        check_unused(plan.unused, layout.ignored)
        _check_unit(table.header[plan.places["RateValue"]], layout)
        self.above, self.unused = table.above, list(plan.unused)
        width = max(at for at, name in enumerate(table.header, 1) if name.strip())
        reader = DeckRowReader(plan.places, width, layout)
        count = 0
        for line, cells in _csv_rows(table):
            if isinstance(cells, BadTariffRow):
                yield cells
                continue
            found = reader.read(line, cells)
            if isinstance(found, LeftOut):
                self.left_out[found.why] += 1
                continue
            rows = (found,) if isinstance(found, BadTariffRow) else found
            count += len(rows)
            if count > MAX_ROWS:
                raise BadInput("tariff", f"line {line}", f"at most {MAX_ROWS} rows")
            yield from rows


def _check_unit(column: str, layout: DeckLayout) -> None:
    """Refuse a column that seems to hold rates per second, unless the unit is declared."""
    if layout.rate_per is None and "sec" in column.lower():
        expected = "a rate per minute; declare the unit of this column: --rate-per second or minute"
        raise BadInput("rate_per", column.strip(), expected)


def _csv_rows(table: DeckTable) -> Iterator[tuple[int, list[str] | BadTariffRow]]:
    """Rows that are not blank, each with its first line."""
    reader = csv.reader(table.lines, delimiter=table.delimiter, strict=True)
    while True:
        line = table.before + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            expected = f"separated values that can be read ({error})"
            yield line, BadTariffRow(line, "row", "", expected)
            continue
        if any(map(str.strip, cells)):
            yield line, cells


class RowsDigest:
    """SHA-256 of the rows of a tariff version, added in the order of their prefixes.

    Each row is one line in UTF-8, `prefix,description,rate,initial/increment,status`, ended by
    LF, with the amounts for each call behind if the row has any. Rating computes the same digest
    over the rows that it loads.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, rows: Iterable[RateRow]) -> None:
        """Add rows, in the order of their prefixes."""
        self._digest.update("".join(map(digest_line, rows)).encode())

    def hex(self) -> str:
        """The digest of all rows so far."""
        return self._digest.hexdigest()
