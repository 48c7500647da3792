"""Dead letters: the original record with the reason in its headers, cut where it does not fit.

Pure: without clock, socket, database or logger.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ringfence_contracts.records import Header, Rejected
from ringfence_contracts.topics import DEAD_LETTER_BYTES

WHOLE_BYTES = DEAD_LETTER_BYTES - 64 * 1024
"""A larger dead letter is cut; the rest is room for what Kafka adds."""

SIZES = (WHOLE_BYTES, 512 * 1024, 64 * 1024, 4 * 1024)
"""What is tried in turn, while a broker refuses the size: its topic may have been made by hand."""

_MAX_KEY = 1000
_MAX_TEXT = 4000
_OF_RECORD = 200  # what Kafka adds to a record and to its batch
_OF_HEADER = 10


class DeadLetter(NamedTuple):
    """A record for a dead-letter topic."""

    topic: str
    key: bytes
    value: bytes
    headers: list[Header]


def dead_letter(dead: Rejected, consumer: str, max_bytes: int = WHOLE_BYTES) -> DeadLetter:
    """The dead letter of a rejected record, at most `max_bytes` long (at least 4 KiB).

    `dlq_reason`, `dlq_topic`, `dlq_partition` and `dlq_offset` are always whole; a record that is
    cut has `dlq_truncated`, the length of its value, and can be read whole at that offset while its
    topic keeps it.
    """
    received = dead.received
    reasons = _reason_headers(dead, _MAX_TEXT if max_bytes > SIZES[-1] else _MAX_KEY)
    topic, key = f"{received.topic}.dlq.{consumer}", (received.key or b"")[:_MAX_KEY]
    return _fitted(topic, key, received.value, received.headers, reasons, max_bytes)


def source_row(
    topic: str, key: str, raw: bytes, reason: str, max_bytes: int = WHOLE_BYTES
) -> DeadLetter:
    """The dead letter of a source's row that never became an event."""
    reasons: list[Header] = [("dlq_reason", _text(reason, _MAX_TEXT))]
    return _fitted(topic, key.encode("utf-8", "replace")[:_MAX_KEY], raw, (), reasons, max_bytes)


def _fitted(
    topic: str,
    key: bytes,
    value: bytes,
    original: Sequence[Header],
    reasons: list[Header],
    max_bytes: int,
) -> DeadLetter:
    room = max_bytes - _OF_RECORD - len(topic) - len(key) - _size(reasons)
    kept = list(original) if _size(original) + len(value) <= room else _kept(original, room // 4)
    if len(kept) < len(original):
        reasons = [*reasons, ("dlq_headers_left_out", str(len(original) - len(kept)).encode())]
        room -= _size(reasons[-1:])
    room -= _size(kept)
    if len(value) > room:
        reasons = [*reasons, ("dlq_truncated", str(len(value)).encode())]
        value = value[: max(0, room - _size(reasons[-1:]))]
    return DeadLetter(topic, key, value, [*kept, *reasons])


def _kept(headers: Sequence[Header], room: int) -> list[Header]:
    """The headers that fit into `room`, in their order."""
    kept = []
    for header in headers:
        room -= _size([header])
        if room < 0:
            break
        kept.append(header)
    return kept


def _size(headers: Sequence[Header]) -> int:
    return sum(len(n.encode("utf-8", "replace")) + len(v or b"") + _OF_HEADER for n, v in headers)


def _reason_headers(dead: Rejected, max_text: int) -> list[Header]:
    headers: list[Header] = [
        ("dlq_reason", _text(dead.reason, max_text)),
        ("dlq_topic", dead.received.topic.encode()),
        ("dlq_partition", str(dead.received.partition).encode()),
        ("dlq_offset", str(dead.received.offset).encode()),
    ]
    if dead.traceback:
        headers.append(("dlq_traceback", _text(dead.traceback, max_text, end=True)))
    return headers


def _text(text: str, most: int, *, end: bool = False) -> bytes:
    """At most `most` bytes of a text; its end instead of its beginning for a traceback."""
    raw = text.encode("utf-8", "replace")
    cut = raw if len(raw) <= most else raw[-most:] if end else raw[:most]
    return cut if len(cut) == len(raw) else cut.decode("utf-8", "ignore").encode()
