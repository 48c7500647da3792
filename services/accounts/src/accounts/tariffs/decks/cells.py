"""Prices, dates and flags as they are written in cells.

Pure: without clock, socket, database or logger.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from accounts.typed.decimal_text import canonical_decimal

MAX_RATE = 1_000_000
"""The highest rate per minute; rating cannot compute with more."""

_SIGN = r"(?:[A-Z]{3}|[$\u20ac\u00a3\u00a5])"
_CURRENCY = re.compile(rf"^{_SIGN}\s*|\s*{_SIGN}$")
_APART = r"[ '\u00a0\u202f\u2019]"
_GROUPS = rf"\d{{1,3}}(?:{_APART}\d{{3}})+"
_POINT_GROUPS = re.compile(rf"\d{{1,3}}(?:,\d{{3}})+\.\d+|{_GROUPS}(?:\.\d+)?", re.ASCII)
_COMMA_GROUPS = re.compile(rf"\d{{1,3}}(?:\.\d{{3}})+,\d+|{_GROUPS}(?:,\d+)?", re.ASCII)
_GROUPING = re.compile(_APART)

YES = frozenset({"1", "y", "yes", "true", "x", "blocked", "block", "forbidden", "barred", "closed",
                 "discontinued"})  # fmt: skip
NO = frozenset({"", "0", "n", "no", "false", "-", "open", "active", "ok"})
AT_ONCE = frozenset({"", "asap", "immediate", "immediately", "now", "-"})
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YMD = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", re.ASCII)
_YMD_SHORT = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_SLASHED = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})", re.ASCII)
_D_MON_Y = re.compile(r"(\d{1,2})[- ]([A-Za-z]{3})[a-z]*[-, ]+(\d{4})", re.ASCII)
_MON_D_Y = re.compile(r"([A-Za-z]{3})[a-z]* (\d{1,2}),? (\d{4})", re.ASCII)
_CLOCK = re.compile(r"(?P<date>.+?)[ T](?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2}))?", re.ASCII)

DATE = "a date such as 2027-01-31, or blank for at once"
ORDER = (
    "the order of day and month to be declared: --dates dmy (31/01/2027) or --dates mdy "
    "(01/31/2027)"
)


class BadDate(ValueError):
    """A date that cannot be read; the message is what was expected."""


def read_price(
    text: str, *, decimal_comma: bool, per_second: bool = False, places: int = 0
) -> str | None:
    """A price in canonical form, per minute; None if it is none or above MAX_RATE.

    Its decimal point is moved by `places` to the left, for prices in cents or thousandths. A
    currency sign or code may be beside it. Thousands are separated as in 1,500.00; without decimals
    behind, `1,500` could be either, and is refused.
    """
    plain = _CURRENCY.sub("", text.strip(), count=1).strip()
    groups = _COMMA_GROUPS if decimal_comma else _POINT_GROUPS
    if groups.fullmatch(plain):
        plain = _GROUPING.sub("", plain).replace("." if decimal_comma else ",", "")
    if decimal_comma:
        plain = "" if "." in plain else plain.replace(",", ".")
    price = canonical_decimal(plain)
    if price is not None and (per_second or places):
        exact = Decimal(price) * (60 if per_second else 1)
        price = canonical_decimal(f"{exact.scaleb(-places):f}")
    if price is None:
        return None
    whole, _, fraction = price.partition(".")
    return price if (int(whole), fraction) <= (MAX_RATE, "") else None


def read_flag(text: str) -> bool | None:
    """Whether a cell says yes; None if it says neither yes nor no."""
    word = text.strip().lower()
    return True if word in YES else False if word in NO else None


def read_instant(
    text: str, order: str | None, zone: ZoneInfo, *, end: bool = False
) -> datetime | None:
    """When a dated row begins, in UTC; None for a blank cell or `ASAP`.

    A date begins at 00:00 in `zone`. `end`: a date without a time is the last day, so the
    row ends when the next one begins. Raises BadDate.
    """
    typed = " ".join(text.split())
    if typed.lower() in AT_ONCE:
        return None
    clock = _CLOCK.fullmatch(typed)
    day = _read_day(clock["date"] if clock else typed, order)
    try:
        at = time(int(clock["h"]), int(clock["m"]), int(clock["s"] or 0)) if clock else time()
    except ValueError:
        raise BadDate(DATE) from None
    if end and at == time() and not clock:
        day += timedelta(days=1)
    return datetime.combine(day, at, zone).astimezone(UTC)


def _read_day(text: str, order: str | None) -> date:
    if found := _YMD.fullmatch(text) or _YMD_SHORT.fullmatch(text):
        return _day(int(found[1]), int(found[2]), int(found[3]))
    if found := _SLASHED.fullmatch(text):
        if order is None:
            raise BadDate(ORDER)
        first, second = int(found[1]), int(found[2])
        day, month = (first, second) if order == "dmy" else (second, first)
        return _day(int(found[3]), month, day)
    if found := _D_MON_Y.fullmatch(text):
        return _day(int(found[3]), _month(found[2]), int(found[1]))
    if found := _MON_D_Y.fullmatch(text):
        return _day(int(found[3]), _month(found[1]), int(found[2]))
    raise BadDate(DATE)


def _month(text: str) -> int:
    name = text.lower()
    return _MONTHS.index(name) + 1 if name in _MONTHS else 0


def _day(year: int, month: int, day: int) -> date:
    if not 1990 <= year <= 2199:
        raise BadDate(DATE)
    try:
        return date(year, month, day)
    except ValueError:
        raise BadDate(DATE) from None
