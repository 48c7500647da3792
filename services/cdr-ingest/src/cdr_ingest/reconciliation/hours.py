"""Which hours of calls are due to be counted, and the result of a count: pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

HOUR_S = 3600
RECHECK_S = (0, HOUR_S, 6 * HOUR_S, 24 * HOUR_S)
"""An hour is counted once it is complete, and again this many seconds later: long calls end later,
and a PBX may store calls late."""

FARTHEST_S = 7 * 24 * HOUR_S
"""Older hours are not counted."""


@dataclass(frozen=True)
class HourCount:
    """The calls of an hour: how many the source listed, and how many of them were ingested before.

    Calls that ended too recently to have been polled are in neither number.
    """

    listed: int = 0
    ingested: int = 0

    @property
    def missing(self) -> int:
        """How many calls polling missed."""
        return self.listed - self.ingested


def hours_due(
    now: int, read_from: int, checked: Mapping[int, int | None], delay_s: int
) -> list[int]:
    """The starts of the hours to count now, oldest first, in Unix seconds.

    Hours before `read_from` are left out: their calls are not ingested. `checked` maps the hours
    that were counted to the time of the count; None if it was not finished. An hour is first due
    `delay_s` after its end.
    """
    first = max(read_from, now - FARTHEST_S)
    first += -first % HOUR_S
    last = now - delay_s - HOUR_S
    return [hour for hour in range(first, last + 1, HOUR_S) if _due(hour, now, checked, delay_s)]


def _due(hour: int, now: int, checked: Mapping[int, int | None], delay_s: int) -> bool:
    complete = hour + HOUR_S + delay_s
    last_due = max(complete + later for later in RECHECK_S if complete + later <= now)
    checked_at = checked.get(hour)
    return checked_at is None or checked_at < last_due


def as_instant(epoch: int) -> datetime:
    """Unix seconds as an instant in UTC."""
    return datetime.fromtimestamp(epoch, UTC)
