"""Codes of a cell: one, a list, a range, with the country code in another cell.

Pure: without clock, socket, database or logger.
"""

import re
from collections.abc import Iterator

MOST_CODES = 10_000
"""Codes that one cell may hold."""

WRITTEN_OUT = 1000
"""A longer range is written as the shortest prefixes that cover it."""

AREA_CODE = re.compile(r"[2-9][0-8]\d", re.ASCII)
"""How an area code of North America begins."""

_DIGITS = re.compile(r"\d{1,15}", re.ASCII)
_RANGE = re.compile(r"(\d{1,15})\s*[-\u2013]\s*(\d{1,15})", re.ASCII)
_LIST = re.compile(r"[,;/]")

ONE = "1 to 15 digits with country code, such as 1204"
NO_ZERO = (
    f"{ONE}: no number begins with 0, so this could never match. Leave out the exit code "
    "(00, 011) or the trunk 0"
)
BLANK_INSIDE = (
    f"{ONE}, without blanks: separate the codes of a list by commas, and give a country code in a "
    "column of its own by --map CountryCode=COLUMN"
)
RANGE = "a range of two codes of the same length, the lower first, such as 4412-4419"
AREA = (
    "an area code of North America such as 416, because --put-in-front 1 is declared: write a "
    "complete code with a +, such as +44"
)
TOO_MANY = f"at most {MOST_CODES} codes in a cell"


class BadCode(ValueError):
    """A code that cannot be read; the message is what was expected."""


def read_codes(text: str, country: str = "", front: str | None = None) -> list[str]:
    """The prefixes of a cell such as `44`, `4412-4419`, `6, 7`, `447*`, behind `country`.

    `front` is put before codes without a `+`. Raises BadCode.
    """
    if _DIGITS.fullmatch(text) and not country and front is None:  # nearly every row
        return [_checked(text)]
    base = country.strip()
    plus = base.startswith("+") or text.strip().startswith("+")
    base = base.removeprefix("+").strip()
    if base and not _DIGITS.fullmatch(base):
        raise BadCode("a country code of digits, such as 44")
    start = base if plus or front is None else f"{front}{base}"
    if base and not text.strip():
        return [_checked(start)]
    found: list[str] = []
    for part in _LIST.split(text):
        one = part.strip()
        own = start
        if one.startswith("+"):
            one, own = one.removeprefix("+").strip(), base
        for code in _expanded(one.rstrip("*xX").strip() if one.endswith(("*", "x", "X")) else one):
            found.append(_checked(_behind(own, code, front)))
            if len(found) > MOST_CODES:
                raise BadCode(TOO_MANY)
    return found


def _expanded(text: str) -> Iterator[str]:
    if _DIGITS.fullmatch(text):
        yield text
        return
    ends = _RANGE.fullmatch(text)
    if ends is None:
        raise BadCode(BLANK_INSIDE if re.fullmatch(r"[\d\s]+", text) else ONE)
    low, high = ends[1], ends[2]
    if len(low) != len(high) or low > high:
        raise BadCode(RANGE)
    if int(high) - int(low) < WRITTEN_OUT:
        yield from (f"{code:0{len(low)}d}" for code in range(int(low), int(high) + 1))
        return
    yield from _covering(int(low), int(high), len(low))


def _covering(low: int, high: int, length: int) -> Iterator[str]:
    """The shortest prefixes that together are all codes from `low` to `high`."""
    while low <= high:
        size, digits = 1, length
        while digits > 1 and low % (size * 10) == 0 and low + size * 10 - 1 <= high:
            size, digits = size * 10, digits - 1
        yield f"{low // size:0{digits}d}"
        low += size


def _behind(start: str, code: str, front: str | None) -> str:
    """A code behind the digits before it. Area codes of North America never begin with 1."""
    if front != "1" or start != "1":
        return start + code
    if code.startswith("1"):
        return code
    if not AREA_CODE.match(code):
        raise BadCode(AREA)
    return start + code


def _checked(code: str) -> str:
    if len(code) > 15:
        raise BadCode(ONE)
    if code.startswith("0"):
        raise BadCode(NO_ZERO)
    return code
