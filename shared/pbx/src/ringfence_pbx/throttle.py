"""What a server says about when to come back: the header `Retry-After` (RFC 9110)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ringfence_contracts.errors import Retry

MAX_RETRY_AFTER_S = 3600.0
"""A server that asks for a longer rest is asked again after this all the same."""


class Throttled(Retry):
    """The server named the time after which it may be asked again, in seconds from now."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """`Retry-After`, in seconds or as a date; None without one that can be read."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    left_s = (until - datetime.now(UTC)).total_seconds()
    return min(max(left_s, 0.0), MAX_RETRY_AFTER_S)
