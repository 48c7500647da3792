"""Money is a whole number of micro-units (10^-6) of the account's currency.

Rates keep all their decimals as exact fractions. A cost, which is never negative, is rounded half
up once, at the end. Nothing here uses floating point.

Pure: without clock, socket, database or logger.
"""

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from ringfence_contracts.errors import BadInput

MICRO = 1_000_000
MAX_MICRO = 10**15
"""The largest single amount: 10^9 units. Larger input is a mistake or an attack."""

_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)


def parse_micro(text: str, field: str = "amount") -> int:
    """Read a decimal amount (`8`, `8.00`, `.03`, `-0.01`, `1,500.25`) as micro-units.

    Raises BadInput for any other text, for more than six decimals (input is never rounded
    silently) and for amounts above `MAX_MICRO`.
    """
    expected = "an amount such as 15, 15.00 or 1,500 with at most 6 decimals"
    exact = parse_decimal(text, field, expected) * MICRO
    if exact.denominator != 1:
        raise BadInput(field, text, expected)
    if abs(exact) > MAX_MICRO:
        raise BadInput(field, text, f"at most {format_micro(MAX_MICRO)}")
    return exact.numerator


def parse_decimal(text: str, field: str, expected: str = "a decimal number") -> Fraction:
    """Read a plain decimal number exactly. Raises BadInput for exponents, NaN and infinities.

    Thousands separators are accepted only in their place (`1,500`, not `1,50`).
    """
    stripped = text.strip()
    exact = _exact(stripped) if len(stripped) <= 40 else None
    if exact is None:
        raise BadInput(field, text, expected)
    return exact


@lru_cache(maxsize=20_000)
def _exact(text: str) -> Fraction | None:
    """Cached: rate decks and packages use few different numbers, again and again."""
    if _DECIMAL.fullmatch(text):
        return Fraction(Decimal(text))
    if _GROUPED.fullmatch(text):
        return Fraction(Decimal(text.replace(",", "")))
    return None


def round_half_up(numerator: int, denominator: int) -> int:
    """The whole number nearest to a non-negative fraction; an exact half goes up.

    The rounding rule of a call's cost (domain/billing, section 4), applied once per call.
    """
    return (2 * numerator + denominator) // (2 * denominator)


def format_micro(amount_micro: int, decimals: int = 2) -> str:
    """Micro-units as a decimal with at least `decimals` places, and more where they are not 0."""
    sign = "-" if amount_micro < 0 else ""
    units, micro = divmod(abs(amount_micro), MICRO)
    fraction = f"{micro:06d}"
    kept = max(decimals, len(fraction.rstrip("0")))
    return f"{sign}{units}.{fraction[:kept]}" if kept else f"{sign}{units}"


def format_cents(amount_micro: int) -> str:
    """Micro-units with exactly two decimals, rounded towards minus infinity.

    For mails: to a client with 0.004 left, 0.01 must not be shown, nor 0.00 to one who owes 0.004.
    """
    cents = amount_micro // 10_000
    sign = "-" if cents < 0 else ""
    units, rest = divmod(abs(cents), 100)
    return f"{sign}{units}.{rest:02d}"
