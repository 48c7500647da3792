"""What goes into a handler and what comes out of it. Handlers know no more of Kafka than this."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TypeVar
from uuid import UUID

from pydantic import ValidationError

from ringfence.errors import Reject, shown
from ringfence.events.model import EventData
from ringfence.topics import Topic

Headers = tuple[tuple[str, bytes], ...]
D = TypeVar("D", bound=EventData)


@dataclass(frozen=True)
class Received:
    """A record as it was read: nothing in it is trusted yet."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Headers = ()

    @cached_property
    def attributes(self) -> dict[str, str]:
        """The headers as text; CloudEvents attributes among them."""
        return {name: raw.decode("utf-8", "replace") for name, raw in self.headers}

    @property
    def event_id(self) -> UUID:
        """The `ce_id`. Raises Reject where there is none that can be read."""
        try:
            return UUID(self.attributes["ce_id"])
        except (KeyError, ValueError):
            found = shown(self.attributes.get("ce_id"))
            raise Reject(f"header ce_id: got {found}, expected a UUID") from None

    @property
    def correlation_id(self) -> str:
        """What ties together all that one cause brought about, from CDR to mail."""
        return self.attributes.get("ce_correlationid") or self.attributes.get("ce_id", "")


def parse(model: type[D], received: Received) -> D:
    """Read a record's payload as `model`.

    Raises Reject, with the first field that is wrong, its value and what was expected.
    """
    try:
        return model.model_validate_json(received.value)
    except ValidationError as error:
        raise Reject(first_problem(error)) from None


def first_problem(error: ValidationError) -> str:
    """The first thing wrong in a validated value, as one line: field, value, what was expected."""
    details = error.errors(include_url=False, include_context=False)
    first = details[0]
    where = ".".join(str(part) for part in first["loc"]) or "record"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{where}: got {shown(first['input'])}, {first['msg']}{more}"


@dataclass(frozen=True)
class Outgoing:
    """An event to publish. `event_id` is deterministic: a replay publishes the same one."""

    topic: Topic
    key: str
    value: bytes
    event_id: UUID
    time: datetime
    source: str
    subject: str = ""
    correlation_id: str = ""

    def headers(self) -> list[tuple[str, bytes]]:
        """CloudEvents 1.0 attributes in Kafka's binary mode."""
        attributes = [
            ("ce_specversion", b"1.0"),
            ("ce_id", str(self.event_id).encode()),
            ("ce_type", self.topic.name.encode()),
            ("ce_source", f"/ringfence/{self.source}".encode()),
            ("ce_time", self.time.isoformat().encode()),
            ("ce_subject", (self.subject or self.key).encode()),
            ("content-type", b"application/json"),
        ]
        if self.correlation_id:
            attributes.append(("ce_correlationid", self.correlation_id.encode()))
        return attributes


@dataclass(frozen=True)
class Rejected:
    """A record that can never work, and why."""

    received: Received
    reason: str


@dataclass
class Outcome:
    """What a handler made of a batch."""

    publish: list[Outgoing] = field(default_factory=list)
    reject: list[Rejected] = field(default_factory=list)


Handler = Callable[[Sequence[Received]], Awaitable[Outcome]]
"""Does a batch's work in the database and returns what is to be told. Safe to call again."""
