"""Pages: a cursor says where the last one ended, so that new rows shift nothing."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import orjson

from ringfence_contracts.errors import BadInput

MAX_LIMIT = 500
_ID = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)


def read_id(text: str) -> str:
    """An id in a cursor."""
    if not _ID.fullmatch(text):
        raise ValueError("no id")
    return text


def read_text(text: str) -> str:
    """A name in a cursor, as the database can hold it."""
    if "\x00" in text:
        raise ValueError("no text of a database")
    return text


def read_version(text: str) -> int:
    """An account's version in a cursor."""
    version = int(text)
    if not 0 <= version < 2**63:
        raise ValueError("no version")
    return version


def read_instant(text: str) -> datetime:
    """An instant in a cursor."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("no zone")
    return instant


def encode_cursor(*position: object) -> str:
    """The place of a row in its order, as text that fits in a URL."""
    return base64.urlsafe_b64encode(orjson.dumps([str(part) for part in position])).decode()


def decode_cursor(cursor: str | None, *readers: Callable[[str], Any]) -> list[Any]:
    """The parts of a cursor, each read by its reader; all None without a cursor.

    Raises BadInput for a cursor that this API did not make.
    """
    if cursor is None:
        return [None] * len(readers)
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor))
        if not isinstance(parts, list) or len(parts) != len(readers):
            raise ValueError("another kind of cursor")
        return [read(part) for read, part in zip(readers, parts, strict=True)]
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise BadInput("cursor", cursor, "the `next` of an earlier page") from None


def page(
    rows: Sequence[dict[str, Any]],
    limit: int,
    position: Callable[[dict[str, Any]], tuple[Any, ...]],
) -> dict[str, Any]:
    """`rows` as a page: at most `limit`, and the cursor of the next one if there are more.

    Ask the database for `limit + 1` rows, so that it is known whether more follow.
    """
    shown = list(rows[:limit])
    more = len(rows) > limit
    return {"items": shown, "next": encode_cursor(*position(shown[-1])) if more else None}
