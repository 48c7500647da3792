"""What the broker knows: how far a reader has read, and what was published after an instant."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple, Protocol

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ringfence.anti_entropy.copies import NumberOf
from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence.kafka.clients import start_client
from ringfence_contracts.errors import Retry
from ringfence_contracts.topics import PARTITIONS, Topic

_MAX_READ = 2_000_000
_AT_ONCE = 5_000

PartitionEnds = Mapping[TopicPartition, int]
"""By partition: the offset behind its last record."""


class PublishedLater(NamedTuple):
    """What a topic holds from after an instant: the highest number of each key, and how many
    records were read.
    """

    numbers: Mapping[str, int]
    records: int


class BrokerView(Protocol):
    """Answers about topics and consumer groups; tests may answer from memory."""

    async def ends(self, topics: Sequence[Topic]) -> PartitionEnds:
        """The ends of all partitions of the topics."""
        ...

    async def has_read(self, reader: str, ends: PartitionEnds) -> bool:
        """Whether the group has committed all that was before these ends."""
        ...

    async def published_after(
        self, numbers: Mapping[Topic, NumberOf], after: datetime
    ) -> PublishedLater:
        """What these topics hold from after an instant."""
        ...


class KafkaView:
    """Asks the brokers, by a short-lived client for each question: they are rarely asked."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._bootstrap = bootstrap

    async def ends(self, topics: Sequence[Topic]) -> PartitionEnds:
        """The ends of all partitions of the topics."""
        async with self._assigned(_partitions(topics)) as consumer:
            return dict(await consumer.end_offsets(_partitions(topics)))

    async def has_read(self, reader: str, ends: PartitionEnds) -> bool:
        """Whether the group has committed all that was before these ends.

        Records that the broker has no more cannot be read: they count as read.
        """
        async with self._assigned(ends, group=reader) as consumer:
            beginnings = await consumer.beginning_offsets(list(ends))
            for partition, end in ends.items():
                committed = await consumer.committed(partition)
                if max(committed or 0, beginnings[partition]) < end:
                    return False
        return True

    async def published_after(
        self, numbers: Mapping[Topic, NumberOf], after: datetime
    ) -> PublishedLater:
        """What these topics hold from after an instant, of at most 2,000,000 records."""
        readers = {topic.name: number_of for topic, number_of in numbers.items()}
        partitions = _partitions(list(numbers))
        async with self._assigned(partitions) as consumer:
            at_ms = round(after.timestamp() * 1000)
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, at_ms))
            begins = {p: place.offset for p, place in found.items() if place is not None}
            ends = await consumer.end_offsets(list(begins)) if begins else {}
            for partition, offset in begins.items():
                consumer.seek(partition, offset)
            consumer.resume(*begins)
            return await _read(consumer, readers, ends)

    @asynccontextmanager
    async def _assigned(
        self, partitions: Iterable[TopicPartition], group: str | None = None
    ) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer of these partitions that fetches nothing yet, and joins no group.

        Raises Retry if the brokers do not answer, or do not have a topic for the moment.
        """
        consumer = AIOKafkaConsumer(
            **client_arguments(self._bootstrap),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await start_client(consumer)
            consumer.assign(list(partitions))
            consumer.pause(*partitions)
            yield consumer
        except KafkaError as error:
            raise Retry(f"the broker does not answer about its topics: {error!r}") from error
        finally:
            await consumer.stop()


async def _read(
    consumer: AIOKafkaConsumer, readers: Mapping[str, NumberOf], ends: PartitionEnds
) -> PublishedLater:
    highest: dict[str, int] = {}
    read = 0
    while read < _MAX_READ:
        behind = [p for p, end in ends.items() if await consumer.position(p) < end]
        if not behind:
            break
        polled = await consumer.getmany(*behind, timeout_ms=1_000, max_records=_AT_ONCE)
        for partition, records in polled.items():
            read += len(records)
            for record in records:
                _note_number(highest, record.value, readers[partition.topic])
    return PublishedLater(highest, read)


def _note_number(highest: dict[str, int], value: bytes | None, number_of: NumberOf) -> None:
    """Note the number of a record; what is no record of ours says nothing."""
    try:
        key, number = number_of(orjson.loads(value or b""))
    except (ValueError, KeyError, TypeError):  # orjson's error is a ValueError
        return
    if isinstance(key, str) and isinstance(number, int):
        highest[key] = max(number, highest.get(key, 0))


def _partitions(topics: Sequence[Topic]) -> list[TopicPartition]:
    return [TopicPartition(topic.name, n) for topic in topics for n in range(PARTITIONS)]
