"""Pages of rows. A cursor holds the position of the last row shown, so new rows shift nothing."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import orjson

from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import is_id

MAX_LIMIT = 500


def read_id(text: str) -> str:
    """An id, or a prefix of a tariff, in a cursor."""
    if not is_id(text):
        raise ValueError("not an id")
    return text


def read_text(text: str) -> str:
    """A name in a cursor, as the database can hold it."""
    if "\x00" in text:
        raise ValueError("text with NUL characters")
    return text


def read_version(text: str) -> int:
    """An account's version in a cursor."""
    version = int(text)
    if not 0 <= version < 2**63:
        raise ValueError("not a version")
    return version


def encode_cursor(*position: object) -> str:
    """The position of a row in its order, as text that fits in a URL."""
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


def by_columns(*names: str) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """The position of a row: its values in these columns, instants as ISO 8601."""
    return lambda row: tuple(
        row[name].isoformat() if isinstance(row[name], datetime) else row[name] for name in names
    )


def page(
    rows: Sequence[dict[str, Any]],
    limit: int,
    position: Callable[[dict[str, Any]], tuple[Any, ...]],
    count: int | None = None,
) -> dict[str, Any]:
    """`rows` as a page: at most `limit`, and the cursor of the next page if there are more.

    Query `limit + 1` rows: the extra one shows that more follow. `count`, the number of rows of
    all pages, is given with the first page alone: counting costs time.
    """
    shown = list(rows[:limit])
    more = len(rows) > limit
    found = {"items": shown, "next": encode_cursor(*position(shown[-1])) if more else None}
    return found if count is None else {**found, "count": count}
