"""Instants as they are typed or sent: ISO 8601 with an offset, kept in UTC. Pure."""

from datetime import UTC, datetime

from ringfence_contracts.events.model import EARLIEST_YEAR, LATEST_YEAR, in_range


def in_utc(instant: datetime) -> datetime:
    """An instant in UTC. Raises ValueError for one that events cannot hold."""
    try:
        return in_range(instant.astimezone(UTC))
    except (OverflowError, ValueError):
        expected = f"an instant between the years {EARLIEST_YEAR} and {LATEST_YEAR}"
        raise ValueError(expected) from None


def read_instant(text: str) -> datetime:
    """An instant in UTC. Raises ValueError for other text, and for an instant without an offset."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant with its offset")
    return in_utc(instant)
