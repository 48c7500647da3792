"""Parses the fields of a record that a PBX wrote: pure. Errors name the field and its value.

Two rules for odd text:

- Names and caller numbers may hold anything that a person or a remote telephone wrote, and no
  charge depends on them. They are cut to 1000 characters, the last being an ellipsis, and control
  characters become spaces.
- A charge depends on the call's id, the tenant and the billed numbers. They are refused when they
  are too long, hold control characters, or were not UTF-8.
"""

import re
from datetime import UTC, datetime

from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import MAX_BILLSEC

MAX_TEXT = 1000
_EARLIEST = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
_LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
_WHOLE = re.compile(r"\d{1,12}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNREADABLE = "\ufffd"


def call_uuid(field: str, text: str) -> str:
    """A UUID in lower case, so that polled and posted records of a call have the same id."""
    if not _UUID.fullmatch(text):
        raise BadInput(field, text, "a UUID")
    return text.lower()


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID."""
    return _UUID.fullmatch(text) is not None


def seconds(field: str, text: str) -> int:
    """Whole seconds of talk, from 0 to a week."""
    if not _WHOLE.fullmatch(text) or int(text) > MAX_BILLSEC:
        raise BadInput(field, text, f"whole seconds, 0 to {MAX_BILLSEC}")
    return int(text)


def instant(field: str, text: str) -> datetime:
    """Unix seconds as an instant in UTC."""
    if not _WHOLE.fullmatch(text) or not _EARLIEST <= int(text) < _LATEST:
        raise BadInput(field, text, "Unix seconds between the years 2000 and 2100")
    return datetime.fromtimestamp(int(text), UTC)


def instant_or_never(field: str, text: str) -> datetime | None:
    """As `instant`; None for an empty text or 0, which mean that it did not happen."""
    return None if text in ("", "0") else instant(field, text)


def identifier(field: str, text: str) -> str:
    """Text that a charge depends on, unchanged. Raises BadInput for text that is not clean."""
    if len(text) > MAX_TEXT:
        raise BadInput(field, text, f"at most {MAX_TEXT} characters")
    if _CONTROL.search(text) or _UNREADABLE in text:
        raise BadInput(field, text, "text in UTF-8 without control characters")
    return text


def free_text(text: str, most: int = MAX_TEXT) -> str:
    """Text that no charge depends on, cleaned and shortened to at most `most` characters."""
    cleaned = _CONTROL.sub(" ", text)
    return cleaned if len(cleaned) <= most else f"{cleaned[: most - 1]}…"
