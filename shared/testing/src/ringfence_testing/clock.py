"""A clock for tests."""

from datetime import UTC, datetime, timedelta


class FixedClock:
    """A `ringfence.clock.Clock` that stands still until it is moved by hand."""

    def __init__(self, start: datetime = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)) -> None:
        assert start.tzinfo is not None, "a clock tells aware times"
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """The time it was set to, aware, in UTC."""
        return self._now

    def move(self, **by: float) -> datetime:
        """Move by so many days, hours, minutes, seconds, milliseconds; the new time."""
        self._now += timedelta(**by)
        return self._now

    def set(self, to: datetime) -> None:
        """Set it to `to`, which is aware."""
        assert to.tzinfo is not None, "a clock tells aware times"
        self._now = to.astimezone(UTC)
