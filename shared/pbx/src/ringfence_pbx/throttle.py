"""The pause that a server asks for: the header `Retry-After` (RFC 9110)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ringfence_contracts.errors import Retry

MAX_RETRY_AFTER_S = 3600.0
"""The longest pause that is respected."""


class Throttled(Retry):
    """The server asked for a pause of `after_s` seconds."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The pause in seconds, from a number of seconds or a date; None without a valid header."""
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
