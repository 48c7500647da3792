"""A broker in memory, for tests of anti-entropy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ringfence.anti_entropy.broker import PartitionEnds, PublishedLater
from ringfence.anti_entropy.copies import NumberOf
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import Topic


@dataclass
class Broker:
    """A broker whose readers have read everything, unless the test says otherwise."""

    is_read: bool = True
    later: PublishedLater = field(default_factory=lambda: PublishedLater({}, 0))
    asked_after: list[datetime] = field(default_factory=list)
    published: list[Outgoing] = field(default_factory=list)

    async def publish(self, events: Sequence[Outgoing]) -> None:
        self.published += events

    async def ends(self, topics: Sequence[Topic]) -> PartitionEnds:
        return {}

    async def has_read(self, reader: str, ends: PartitionEnds) -> bool:
        return self.is_read

    async def published_after(
        self, numbers: Mapping[Topic, NumberOf], after: datetime
    ) -> PublishedLater:
        self.asked_after.append(after)
        return self.later

    def of(self, topic: Topic) -> list[Outgoing]:
        """What was published to a topic."""
        return [event for event in self.published if event.topic is topic]
