"""A clock for tests."""

from datetime import UTC, datetime, timedelta


class FixedClock:
    """A `ringfence.clock.Clock` that changes only when a test moves or sets it."""

    def __init__(self, start: datetime = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)) -> None:
        assert start.tzinfo is not None, "expected an aware time"
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """The time that was set, aware, in UTC."""
        return self._now

    def move(self, **by: float) -> datetime:
        """Move by the arguments of `timedelta`; returns the new time."""
        self._now += timedelta(**by)
        return self._now

    def set(self, to: datetime) -> None:
        """Set the time to `to`, which must be aware."""
        assert to.tzinfo is not None, "expected an aware time"
        self._now = to.astimezone(UTC)
