"""The clock as an argument: code that needs the time is given one of these."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the current time; tests pass one that they set."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        return datetime.now(UTC)
