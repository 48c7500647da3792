"""Reading the fields of a record that a PBX wrote: pure; every refusal names field and value.

What is done with odd text: what a person or a distant telephone may have written (names, caller
numbers) is shortened to 1000 characters, an ellipsis being the last, and its control characters
become spaces, because a charge must not hang on it. What a charge does hang on (the call's id, the
tenant, the numbers that are billed) is refused when it is too long, holds control characters, or
was not UTF-8.
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
    """A UUID, in lower case: so that the ways by which a call comes agree on it."""
    if not _UUID.fullmatch(text):
        raise BadInput(field, text, "a UUID")
    return text.lower()


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
    """As `instant`; None where nothing is written, or 0: it never was."""
    return None if text in ("", "0") else instant(field, text)


def identifier(field: str, text: str) -> str:
    """Text that a charge hangs on, as it stands."""
    if len(text) > MAX_TEXT:
        raise BadInput(field, text, f"at most {MAX_TEXT} characters")
    if _CONTROL.search(text) or _UNREADABLE in text:
        raise BadInput(field, text, "text in UTF-8 without control characters")
    return text


def free_text(text: str) -> str:
    """Text that no charge hangs on, cleaned and shortened."""
    cleaned = _CONTROL.sub(" ", text)
    return cleaned if len(cleaned) <= MAX_TEXT else f"{cleaned[: MAX_TEXT - 1]}…"
