"""Instants as they are typed or sent: ISO 8601 with an offset, kept in UTC. Pure."""

from datetime import UTC, datetime


def in_utc(instant: datetime) -> datetime:
    """An instant in UTC. Raises ValueError where that is outside the years 1 to 9999."""
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("an instant between the years 1 and 9999") from None


def read_instant(text: str) -> datetime:
    """An instant in UTC. Raises ValueError for other text, and for an instant without an offset."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant with its offset")
    return in_utc(instant)
