"""Ranges of extensions, such as `2100-2199`: both ends included, with as many digits each. Pure."""

import re
from collections.abc import Iterable, Iterator

MAX_NUMBERS = 1000
"""Extensions of one range, at most."""

RANGE_PATTERN = r"^\d{2,6}-\d{2,6}$"
_RANGE = re.compile(r"(\d{2,6})-(\d{2,6})", re.ASCII)


def ends_of(text: str) -> tuple[str, str] | None:
    """The first and the last extension of a range; None if the text is no range."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    first, last = found.groups()
    if len(first) != len(last) or not 0 < int(last) - int(first) < MAX_NUMBERS:
        return None
    return first, last


def in_range(number: str, text: str) -> bool:
    """Whether an extension is within a range. It must have as many digits as the range's ends."""
    ends = ends_of(text)
    if ends is None or not number.isdecimal() or len(number) != len(ends[0]):
        return False
    return ends[0] <= number <= ends[1]


def in_ranges(number: str, ranges: Iterable[str]) -> bool:
    """Whether an extension is within one of the ranges."""
    return any(in_range(number, text) for text in ranges)


def numbers_of(text: str) -> Iterator[str]:
    """The extensions of a range, in order; none if the text is no range."""
    ends = ends_of(text)
    if ends is not None:
        digits = len(ends[0])
        yield from (f"{n:0{digits}d}" for n in range(int(ends[0]), int(ends[1]) + 1))


def overlap(one: str, other: str) -> bool:
    """Whether two ranges have an extension in common."""
    ends, others = ends_of(one), ends_of(other)
    if ends is None or others is None or len(ends[0]) != len(others[0]):
        return False
    return ends[0] <= others[1] and others[0] <= ends[1]
