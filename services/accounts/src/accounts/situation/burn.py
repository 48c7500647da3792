"""How fast a client uses its credit, and when it is out at this pace. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

DAY = timedelta(days=1)
WEEK = timedelta(days=7)


def credit_of(client: Mapping[str, Any]) -> int:
    """What a client can use, in micro-units: balance and credit limit less what is owed."""
    balance_micro: int = client["balance_micro"] or 0  # None: nothing was posted yet
    credit_limit_micro: int = client["credit_limit_micro"]
    outstanding_micro: int = client["outstanding_micro"]
    return balance_micro + credit_limit_micro - outstanding_micro


@dataclass(frozen=True)
class Burn:
    """Charges less what was given back, in micro-units, of the last 24 hours and 7 days.

    `known_days`: for how many of the 7 days the client has entries, at least one.
    """

    day_micro: int
    week_micro: int
    known_days: float

    @property
    def pace_micro(self) -> int:
        """Micro-units a day: the mean of the week, or the last day where that was faster."""
        mean = round(self.week_micro / max(1.0, min(self.known_days, 7.0)))
        return max(0, self.day_micro, mean)

    def out_at(self, credit_micro: int, now: datetime) -> datetime | None:
        """When so much credit is used up at this pace: now if it is; None if never, or in years."""
        if credit_micro <= 0:
            return now
        if self.pace_micro == 0:
            return None
        days = credit_micro / self.pace_micro
        return now + timedelta(days=days) if days <= 366 else None
