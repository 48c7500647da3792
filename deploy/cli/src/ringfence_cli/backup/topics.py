"""The ends of topics, and the offsets of consumer groups that read again from a backup's ends."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence.kafka.clients import start_client
from ringfence_contracts.errors import RingfenceError
from ringfence_contracts.topics import ALL_TOPICS, CALL_COMPLETED, PARTITIONS, PAYMENT_RECEIVED

READ_AGAIN = {"rating": (CALL_COMPLETED, PAYMENT_RECEIVED)}
"""Which groups read which topics again after a restore: facts that no owner knows any more.

All else is a state: its owner publishes it as it is after the restore (ADR 39).
"""

TopicEnds = Mapping[str, Sequence[int]]


class BrokersSilent(RingfenceError):
    """The brokers do not answer."""


async def read_ends(bootstrap: Bootstrap) -> dict[str, list[int]]:
    """The ends of all topics, by name. Raises BrokersSilent."""
    async with _consumer(bootstrap, None) as consumer:
        partitions = [TopicPartition(t.name, n) for t in ALL_TOPICS for n in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
    found: dict[str, list[int]] = {topic.name: [] for topic in ALL_TOPICS}
    for partition in partitions:
        found[partition.topic].append(ends[partition])
    return found


async def set_back(bootstrap: Bootstrap, ends: TopicEnds) -> dict[str, int]:
    """Have the groups of READ_AGAIN read from these ends; how many records that are, by topic.

    No group is set forward, and nothing is set behind the end of its topic. The services must not
    run. Raises BrokersSilent.
    """
    counts: dict[str, int] = {}
    for group, topics in READ_AGAIN.items():
        partitions = [TopicPartition(t.name, n) for t in topics for n in range(PARTITIONS)]
        async with _consumer(bootstrap, group) as consumer:
            consumer.assign(partitions)
            now = await consumer.end_offsets(partitions)
            places = {}
            for partition in partitions:
                known = ends.get(partition.topic, ())
                # A topic that is younger than the backup is read from its beginning.
                at = known[partition.partition] if partition.partition < len(known) else 0
                committed = await consumer.committed(partition)
                place = min(at, now[partition], now[partition] if committed is None else committed)
                places[partition] = place
                counts[partition.topic] = counts.get(partition.topic, 0) + now[partition] - place
            await consumer.commit(places)
    return counts


def records_since(ends: TopicEnds, now: TopicEnds) -> dict[str, int]:
    """How many records each topic got since a backup; one that was created again counts whole."""
    counts = {}
    for topic, current in now.items():
        before = list(ends.get(topic, ())) + [0] * len(current)
        counts[topic] = sum(
            end - start if end >= start else end
            for end, start in zip(current, before, strict=False)
        )
    return counts


@asynccontextmanager
async def _consumer(bootstrap: Bootstrap, group: str | None) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **client_arguments(bootstrap), group_id=group, enable_auto_commit=False
    )
    try:
        await start_client(consumer)
        yield consumer
    except (KafkaError, OSError) as error:
        raise BrokersSilent(
            f"Kafka does not answer at {bootstrap} ({type(error).__name__}): start it, or name"
            " it by --bootstrap"
        ) from error
    finally:
        await consumer.stop()
