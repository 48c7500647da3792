"""Pages: a cursor says where the last one ended, so that new rows shift nothing."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from ringfence.errors import BadInput

MAX_LIMIT = 500


def encode_cursor(*place: object) -> str:
    """The place of a row in its order, as text that fits in a URL."""
    return base64.urlsafe_b64encode(orjson.dumps([str(part) for part in place])).decode()


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
    rows: Sequence[dict[str, Any]], limit: int, place: Callable[[dict[str, Any]], tuple[Any, ...]]
) -> dict[str, Any]:
    """`rows` as a page: at most `limit`, and the cursor of the next one if there are more.

    Ask the database for `limit + 1` rows, so that it is known whether more follow.
    """
    shown = list(rows[:limit])
    more = len(rows) > limit
    return {"items": shown, "next": encode_cursor(*place(shown[-1])) if more else None}
