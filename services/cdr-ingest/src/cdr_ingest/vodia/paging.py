"""How to page through a list whose order nobody documents, and miss nothing: pure.

Where the list is seen to run from new to old, a walk ends at a page that holds nothing new and
reaches back beyond the window. Where it runs from old to new, the walk begins at its end and goes
back likewise. In any other order it goes through all of the list.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

_ENOUGH = 20
"""So few records, or fewer, may be in order by chance."""


class ListOrder(StrEnum):
    """How a list runs, as far as it was seen."""

    NEWEST_FIRST = "newest-first"
    OLDEST_FIRST = "oldest-first"
    NONE = "none"


class Times(NamedTuple):
    """When a listed call began and ended."""

    start: datetime
    end: datetime


def order_of(listed: Sequence[Times]) -> ListOrder:
    """The order of records as they were listed, be it by their start or by their end."""
    if len(listed) <= _ENOUGH:
        return ListOrder.NONE
    starts, ends = [times.start for times in listed], [times.end for times in listed]
    if any(_falls(column) for column in (starts, ends)):
        return ListOrder.NEWEST_FIRST
    if any(_falls(column[::-1]) for column in (starts, ends)):
        return ListOrder.OLDEST_FIRST
    return ListOrder.NONE


def contradicts(page: Sequence[Times]) -> bool:
    """Whether a page of a list that ran from old to new runs from new to old, by start and end."""
    starts, ends = [times.start for times in page], [times.end for times in page]
    return len(page) > 1 and _falls(starts) and _falls(ends)


def _falls(column: Sequence[datetime]) -> bool:
    return column[0] > column[-1] and all(before >= after for before, after in pairwise(column))


def reaches_back(page: Sequence[Times], order: ListOrder, start_epoch: int) -> bool:
    """Whether nothing that lies further on than this page can have begun within the window.

    What is furthest on has ended before the window: whether the list runs by start or by end,
    everything behind it began earlier than that.
    """
    if not page or order is ListOrder.NONE:
        return False
    furthest = page[-1] if order is ListOrder.NEWEST_FIRST else page[0]
    return furthest.end < datetime.fromtimestamp(start_epoch, UTC)
