"""When which hour of calls is to be counted again, and what a count says: pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

HOUR_S = 3600
RECHECK_S = (0, HOUR_S, 6 * HOUR_S, 24 * HOUR_S)
"""Counted once an hour is complete, and so long after that again: long calls end later, and a PBX
may write calls down late."""

FARTHEST_S = 7 * 24 * HOUR_S
"""Hours longer ago are not counted any more."""


@dataclass(frozen=True)
class HourCount:
    """An hour's calls, of those that ended long enough ago: listed, and ingested before."""

    listed: int = 0
    ingested: int = 0

    @property
    def missing(self) -> int:
        """How many calls polling should have brought and did not."""
        return self.listed - self.ingested


def hours_due(
    now: int, read_from: int, checked: Mapping[int, int | None], settle_s: int
) -> list[int]:
    """The starts of the hours to count now, oldest first; all are Unix seconds.

    No hour before `read_from`: those calls are not ours. `checked` has the hours that were counted
    and when; None where that was not finished. An hour is first due `settle_s` after its end.
    """
    first = max(read_from, now - FARTHEST_S)
    first += -first % HOUR_S
    last = now - settle_s - HOUR_S
    return [hour for hour in range(first, last + 1, HOUR_S) if _due(hour, now, checked, settle_s)]


def _due(hour: int, now: int, checked: Mapping[int, int | None], settle_s: int) -> bool:
    complete = hour + HOUR_S + settle_s
    last_due = max(complete + later for later in RECHECK_S if complete + later <= now)
    checked_at = checked.get(hour)
    return checked_at is None or checked_at < last_due


def as_instant(epoch: int) -> datetime:
    """Unix seconds as an instant in UTC."""
    return datetime.fromtimestamp(epoch, UTC)
