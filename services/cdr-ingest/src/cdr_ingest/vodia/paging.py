"""How to page through a list of undocumented order without missing a record: pure.

If the list runs from new to old, paging stops at a page that holds nothing new and reaches back
beyond the window. If it runs from old to new, paging starts at the last page and goes backward to
such a page. In any other order the whole list is read.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

_ENOUGH = 20
"""This many records or fewer may be in order by chance."""


class ListOrder(StrEnum):
    """The order of a list, as far as it was observed."""

    NEWEST_FIRST = "newest-first"
    OLDEST_FIRST = "oldest-first"
    NONE = "none"


class Times(NamedTuple):
    """The start and the end of a listed call."""

    start: datetime
    end: datetime


def order_of(listed: Sequence[Times]) -> ListOrder:
    """The order of the listed records, by their start or by their end."""
    if len(listed) <= _ENOUGH:
        return ListOrder.NONE
    starts, ends = [times.start for times in listed], [times.end for times in listed]
    if any(_falls(column) for column in (starts, ends)):
        return ListOrder.NEWEST_FIRST
    if any(_falls(column[::-1]) for column in (starts, ends)):
        return ListOrder.OLDEST_FIRST
    return ListOrder.NONE


def contradicts(page: Sequence[Times]) -> bool:
    """Whether a page of an oldest-first list runs from new to old, both by start and by end."""
    starts, ends = [times.start for times in page], [times.end for times in page]
    return len(page) > 1 and _falls(starts) and _falls(ends)


def _falls(column: Sequence[datetime]) -> bool:
    return column[0] > column[-1] and all(before >= after for before, after in pairwise(column))


def reaches_back(page: Sequence[Times], order: ListOrder, start_epoch: int) -> bool:
    """Whether no call beyond this page can have begun within the window.

    That is so if the last call of the page, in the direction of paging, ended before the window:
    whether the list is sorted by start or by end, every call beyond it began even earlier.
    """
    if not page or order is ListOrder.NONE:
        return False
    furthest = page[-1] if order is ListOrder.NEWEST_FIRST else page[0]
    return furthest.end < datetime.fromtimestamp(start_epoch, UTC)
