"""A row of a tariff file: a rate, or an error with its line and field.

Source of the format: domain/billing, section 2.

Pure: without clock, socket, database or logger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from accounts.packages.terms import INCREMENT, read_increment
from accounts.tariffs.decks.cells import (
    MAX_RATE,
    NO,
    YES,
    BadDate,
    read_flag,
    read_instant,
    read_price,
)
from accounts.tariffs.decks.codes import BadCode, read_codes
from accounts.tariffs.decks.columns import FEES, FLAGS, REMARKS
from accounts.tariffs.decks.layout import DeckLayout, zone_of
from ringfence_contracts.errors import RingfenceError, shown

MAX_TEXT = 200
CUSTOM_RATE, TARIFF_RATE, BLOCKED = 0, 1, 2
"""A row's status: the package's custom rate applies, or the row's own; or no call is priced."""

_RATE = f"a rate per minute such as 0.0125 or .03, at most {MAX_RATE}"
_POINT = f"{_RATE}; a decimal comma must be declared: --decimal comma"
_COMMA = f"{_RATE.replace('.', ',')}, with the decimal comma that was declared"
_STATUS = (
    "1 or open (tariff rate), 0 (the package's custom rate), or 2, blocked or closed (no call is "
    "priced)"
)
_STATUSES = {"1": TARIFF_RATE, "": TARIFF_RATE, "0": CUSTOM_RATE, "2": BLOCKED}
_PER_CALL = (
    f"{INCREMENT}. A price for each call, whatever its length: 86400/86400, and the price of a "
    "call divided by 1440 as its rate"
)


class TariffRow(NamedTuple):
    """One row of a tariff: rate per minute as canonical text, increments in seconds.

    `line` is where the row begins in its file. `status` 1: the rate of the tariff is used; 0: the
    custom rate of the package; 2: blocked. The remarks are stored as written, None if they are
    missing. `connection_fee`, `minimum_cost` and `maximum_cost` are amounts for each call; None:
    those of the package. The row is in force from `effective_at` until `end_at`; None: from the
    import on, and without an end.
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
    connection_fee: str | None = None
    minimum_cost: str | None = None
    maximum_cost: str | None = None
    effective_at: datetime | None = None
    end_at: datetime | None = None


STORED = tuple(name for name in TariffRow._fields if name not in ("line", "effective_at", "end_at"))
"""The columns of a version's rows."""


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


class LeftOut(NamedTuple):
    """A row that is no row of a tariff for outbound calls, and why: `inbound` or `by origin`."""

    why: str


RowResult = Sequence[TariffRow] | BadTariffRow | LeftOut


Remarks = tuple[str | None, str | None, str | None, str | None]
Fees = tuple[str | None, str | None, str | None]
NO_FEES: Fees = (None, None, None)
NONE: Remarks = (None, None, None, None)


class _Refused(ValueError):
    """A cell that cannot be read."""

    def __init__(self, field: str, value: str, expected: str) -> None:
        super().__init__(expected)
        self.field, self.value, self.expected = field, value, expected


class DeckRowReader:
    """Reads the rows below a given header. One row of a file may hold several codes."""

    def __init__(self, places: Mapping[str, int], width: int, layout: DeckLayout) -> None:
        self._places = places
        self._width = width
        self._layout = layout
        self._per_second = layout.rate_per == "second"
        self._places_moved = layout.price_places
        self._default = layout.increments()
        self._zone = zone_of(layout)
        self._flags = [name for name in FLAGS if name in places]
        self._dated = "EffectiveDate" in places or "EndDate" in places
        self._remarks = [places.get(name) for name in REMARKS]
        self._has_fees = any(name in places for name in FEES)
        self._has_remarks = any(at is not None for at in self._remarks)

    def read(self, line: int, cells: Sequence[str]) -> RowResult:
        """The rates of a row of the file."""
        # With a cell too many or too few, other cells would be read into the wrong fields.
        if len(cells) < self._width or any(cells[self._width :]):
            text = ",".join(cells)[:MAX_TEXT]
            return BadTariffRow(line, "row", text, f"{self._width} columns")
        try:
            return self._row(line, cells)
        except _Refused as error:
            return BadTariffRow(line, error.field, error.value, error.expected)

    def _row(self, line: int, cells: Sequence[str]) -> RowResult:
        left_out = self._left_out(cells)
        if left_out is not None:
            return left_out
        codes = self._codes(cells)
        description = self._text(cells, "Description")
        status = self._status(cells)
        rate = self._rate(cells, status)
        initial, further = self._increments(cells)
        short, changed, old, premium = self._remarks_of(cells) if self._has_remarks else NONE
        fee, least, most = self._fees(cells) if self._has_fees else NO_FEES
        start, end = self._dates(cells) if self._dated else (None, None)
        return [
            TariffRow(
                line, code, description, rate, initial, further, status,
                short, changed, old, premium, fee, least, most, start, end,
            )
            for code in codes
        ]  # fmt: skip

    def _cell(self, cells: Sequence[str], field: str) -> str:
        at = self._places.get(field)
        return "" if at is None else cells[at].strip()

    def _left_out(self, cells: Sequence[str]) -> LeftOut | None:
        direction = self._cell(cells, "Direction").lower()
        if direction in ("inbound", "in", "incoming"):
            return LeftOut("inbound")
        if direction not in ("", "outbound", "out", "outgoing", "both"):
            raise _Refused("Direction", direction, "outbound, inbound or both")
        return LeftOut("by origin") if self._cell(cells, "Origination") else None

    def _codes(self, cells: Sequence[str]) -> Sequence[str]:
        text, country = self._cell(cells, "Prefix"), self._cell(cells, "CountryCode")
        try:
            return read_codes(text, country, self._layout.put_in_front)
        except BadCode as error:
            shown_code = f"{country} {text}".strip()
            raise _Refused("Prefix", shown_code[:MAX_TEXT], str(error)) from None

    def _text(self, cells: Sequence[str], field: str) -> str:
        text = self._cell(cells, field)
        if len(text) > MAX_TEXT or not text.isprintable():
            raise _Refused(field, text, f"one line, at most {MAX_TEXT} characters")
        return text

    def _remarks_of(self, cells: Sequence[str]) -> Remarks:
        short, changed, old, premium = (self._text(cells, name) or None for name in REMARKS)
        return short, changed, old, premium

    def _status(self, cells: Sequence[str]) -> int:
        for field in self._flags:
            text = self._cell(cells, field)
            flag = read_flag(text)
            if flag is None:
                raise _Refused(field, text, "yes or no, 1 or 0")
            if flag:
                return BLOCKED
        text = self._cell(cells, "status").lower()
        if text in _STATUSES:
            return _STATUSES[text]
        if text in YES or text in NO:
            return BLOCKED if text not in ("yes", "y", "true", *NO) else TARIFF_RATE
        raise _Refused("status", text, _STATUS)

    def _rate(self, cells: Sequence[str], status: int) -> str:
        text = self._cell(cells, "RateValue")
        if not text and status == BLOCKED:
            return "0"
        comma = self._layout.decimal_comma
        rate = read_price(
            text, decimal_comma=comma, per_second=self._per_second, places=self._places_moved
        )
        if rate is None:
            raise _Refused("RateValue", text, _COMMA if comma else _POINT)
        return rate

    def _fees(self, cells: Sequence[str]) -> Fees:
        fee, least, most = (self._fee(cells, name) for name in FEES)
        return fee, least, most

    def _fee(self, cells: Sequence[str], field: str) -> str | None:
        text = self._cell(cells, field)
        if not text:
            return None
        amount = read_price(
            text, decimal_comma=self._layout.decimal_comma, places=self._places_moved
        )
        if amount is None:
            raise _Refused(field, text, "an amount for each call, such as 0.05, or blank")
        return amount

    def _increments(self, cells: Sequence[str]) -> tuple[int, int]:
        if "InitialIncrement" in self._places:
            first = self._cell(cells, "InitialIncrement")
            further = self._cell(cells, "NextIncrement")
            if (first or further) or self._default is None:
                return self._seconds("InitialIncrement", first), self._seconds(
                    "NextIncrement", further
                )
        text = self._cell(cells, "Increment")
        if not text and self._default is not None:
            return self._default
        seconds = read_increment(text)
        if seconds is None:
            raise _Refused("Increment", text, _PER_CALL if text.endswith("/0") else INCREMENT)
        return seconds

    def _seconds(self, field: str, text: str) -> int:
        seconds = read_increment(text)
        if seconds is None or "/" in text:
            raise _Refused(field, text, "whole seconds from 1 to 86400")
        return seconds[0]

    def _dates(self, cells: Sequence[str]) -> tuple[datetime | None, datetime | None]:
        start = self._date(cells, "EffectiveDate", end=False)
        end = self._date(cells, "EndDate", end=True)
        if start and end and end <= start:
            raise _Refused("EndDate", self._cell(cells, "EndDate"), "a day on or after its first")
        return start, end

    def _date(self, cells: Sequence[str], field: str, *, end: bool) -> datetime | None:
        text = self._cell(cells, field)
        try:
            return read_instant(text, self._layout.dates, self._zone, end=end)
        except BadDate as error:
            raise _Refused(field, text[:MAX_TEXT], str(error)) from None
