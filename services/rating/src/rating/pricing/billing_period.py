"""The billing period: a month in the account's own time zone.

A call belongs to the period in which it was answered, even if it ends in the next one.
"""

from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ringfence_contracts.errors import BadInput


def is_zone(name: str) -> bool:
    """Whether `name` is an IANA time zone that this machine has."""
    return _zone(name) is not None


def zone_of(name: str) -> tzinfo:
    """The time zone of that name; UTC for an unknown one, so that calls are rated anyway."""
    return _zone(name) or UTC


@lru_cache(maxsize=4096)
def period_of(instant: datetime, zone: str) -> date:
    """The billing period that an instant belongs to: the first day of its month in `zone`."""
    return instant.astimezone(zone_of(zone)).date().replace(day=1)


def parse_instant(name: str, text: str, zone: str) -> datetime:
    """A day or an instant in ISO 8601, in UTC; without an offset it is read in `zone`.

    Raises BadInput with the field's `name`.
    """
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone_of(zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        expected = "a day such as 2026-11-01, or an instant such as 2026-11-01T00:00-05:00"
        raise BadInput(name, text, expected) from None


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):  # the last two: a folder, a path
        return None
