"""The published examples of records, for every topic.

A reader of a topic must accept all of its examples; a writer can compare its records with them.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ringfence_contracts.errors import RingfenceError
from ringfence_contracts.events.model import EventData
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import ALL_TOPICS, Topic

FOLDER = Path(__file__).parent / "examples"


class ExampleMissing(RingfenceError):
    """A topic has fewer examples than it must have."""


@dataclass(frozen=True)
class Example:
    """One published example of a topic."""

    topic: Topic
    name: str
    value: bytes

    @cached_property
    def document(self) -> dict[str, Any]:
        """The payload as plain values."""
        document: dict[str, Any] = json.loads(self.value)
        return document

    def event(self) -> EventData:
        """The payload as its model. Raises pydantic's ValidationError if it is invalid."""
        return self.topic.data.model_validate_json(self.value)

    def record(self) -> Outgoing:
        """The example as it would be published, with its key and headers."""
        return Outgoing(
            topic=self.topic,
            key=key_of(self.topic, self.event()),
            value=self.value,
            event_id=derive("example", self.topic.name, self.name),
            time=datetime(2026, 1, 15, 12, tzinfo=UTC),
            source=self.topic.writer,
            correlation_id=str(derive("example", "cause")),
        )


def key_of(topic: Topic, event: EventData) -> str:
    """The key of a record of `topic`: the fields that its contract names, joined by colons."""
    return ":".join(str(getattr(event, name)) for name in topic.keyed_by.split(":"))


def examples_of(topic: Topic) -> list[Example]:
    """The examples of a topic. Raises ExampleMissing if there are fewer than two."""
    files = sorted((FOLDER / topic.name).glob("*.json"))
    if len(files) < 2:
        raise ExampleMissing(f"{topic.name}: at least two examples are needed in {FOLDER}")
    return [Example(topic, path.stem, path.read_bytes()) for path in files]


def all_examples() -> list[Example]:
    """Every published example of every topic."""
    return [example for topic in ALL_TOPICS for example in examples_of(topic)]
