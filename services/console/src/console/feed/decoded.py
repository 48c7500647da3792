"""An event of a topic as a page shows it: in words, as JSON without secrets, or as what it is."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from console.feed.words import happening_of
from console.web.formats import Formats
from ringfence_contracts.records import first_problem
from ringfence_contracts.topics import Topic

_LONGEST = 4000
_LONGEST_KEY = 200
_LONGEST_PROBLEM = 300
_WORDS = r"(?:passw|pwd|secret|token|(?:api|private)[_-]?key|authorization|credential)"
SECRET_NAME = re.compile(_WORDS, re.IGNORECASE)
"""The names of values that are hidden. No field of a contract has such a name."""

_SECRET_TEXT = re.compile(
    rf"""({_WORDS}[\w-]{{0,200}}+["']?\s*+[:=]\s*+)("[^"]*"?|'[^']*'?|[^\r\n,;&}}]+)""",
    re.IGNORECASE,
)
"""A name and its value in a text that is no JSON. Nothing of it is tried twice, so that no text
delays the pages.
"""

_HIDDEN = "…"


@dataclass(frozen=True)
class DecodedEvent:
    """An event. `problem` says why it could not be decoded; `text` has it all the same.

    `words` is empty where the event has none. `is_deletion`: a record without a value, after which
    a compacted topic keeps nothing of its key.
    """

    at: datetime
    key: str
    partition: int
    offset: int
    text: str
    words: str = ""
    problem: str = ""
    is_deletion: bool = False


def decode(record: ConsumerRecord, topic: Topic, formats: Formats) -> DecodedEvent:
    """A record as a page shows it; one that cannot be decoded as its text, as far as it is one."""
    words, problem = "", ""
    if record.value is None:
        text = ""
        if not topic.compacted:
            problem = "the record has no value: every event of this topic has one"
    else:
        text, problem = _document(record.value, topic)
        if not problem:
            words = happening_of(formats, topic.name, record.key, record.value).text
    return DecodedEvent(
        at=datetime.fromtimestamp(max(0, record.timestamp) / 1000, UTC),
        key=_printable(record.key or b"")[:_LONGEST_KEY],
        partition=record.partition,
        offset=record.offset,
        text=text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…",
        words=words,
        problem=problem[:_LONGEST_PROBLEM],
        is_deletion=record.value is None and topic.compacted,
    )


def _document(value: bytes, topic: Topic) -> tuple[str, str]:
    """A value as JSON without secrets, or as its text; and why it is no event of the topic."""
    try:
        document = _without_secrets(json.loads(value))
        text = json.dumps(document, ensure_ascii=False, indent=2)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        text = _SECRET_TEXT.sub(rf"\1{_HIDDEN}", _printable(value[: 2 * _LONGEST]))
        return text, f"it is not JSON: {reason}"
    text = text.encode("utf-8", "backslashreplace").decode()  # half of a surrogate pair
    try:
        topic.data.model_validate_json(value)
    except (ValidationError, ValueError, RecursionError):
        return text, _problem_of(document, topic)
    return text, ""


def _problem_of(document: Any, topic: Topic) -> str:
    """Why a document is no event, by the document without its secrets."""
    try:
        topic.data.model_validate_json(json.dumps(document))
    except ValidationError as error:
        return first_problem(error)
    except (ValueError, RecursionError):
        pass
    return "its JSON has text or numbers that readers do not accept"


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _HIDDEN if SECRET_NAME.search(name) else _without_secrets(each)
            for name, each in value.items()
        }
    return [_without_secrets(each) for each in value] if isinstance(value, list) else value


def _printable(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
