"""Publishing: every delivery is awaited, and none is believed before the broker has it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from ringfence.errors import Retry
from ringfence.kafka.records import Outgoing, Rejected
from ringfence.topics import INGEST_DEAD_LETTERS

_KEYS_REMEMBERED = 200_000

_WRITTEN_AT_ONCE = 100
"""Then the next batch has its turn: the database may have answered it."""


class Publisher:
    """Sends events in one batch per topic and partition, and waits for all of them.

    Whole batches are several times faster than single sends (docs/adr/0003). Events of one key
    stay in the order in which they were given.
    """

    def __init__(self, producer: AIOKafkaProducer, *, source: str) -> None:
        self._producer = producer
        self._source = source
        self._partition_of: dict[tuple[str, bytes], int] = {}

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Deliver all of `events`. Raises Retry if the broker did not take one of them.

        Some may have been taken then; publishing all again is safe, for ids are deterministic.
        """
        if not events:
            return
        await self._deliver(
            (event.topic.name, event.key.encode(), event.value, event.headers()) for event in events
        )

    async def park(self, rejected: Sequence[Rejected], consumer: str) -> None:
        """Deliver records to their dead-letter topics: original bytes and headers, and why."""
        await self._deliver(
            (
                f"{dead.received.topic}.dlq.{consumer}",
                dead.received.key or b"",
                dead.received.value,
                [*dead.received.headers, *_reason_headers(dead)],
            )
            for dead in rejected
        )

    async def park_source_rows(self, rows: Iterable[tuple[str, bytes, str]]) -> None:
        """Park rows of a source that could not be read: (key, original bytes, reason)."""
        await self._deliver(
            (INGEST_DEAD_LETTERS, key.encode(), raw, [("dlq_reason", reason.encode())])
            for key, raw, reason in rows
        )

    async def _deliver(
        self, records: Iterable[tuple[str, bytes, bytes, list[tuple[str, bytes]]]]
    ) -> None:
        lanes: dict[tuple[str, int], list[BatchBuilder]] = {}
        try:
            for number, (topic, key, value, headers) in enumerate(records):
                if number % _WRITTEN_AT_ONCE == _WRITTEN_AT_ONCE - 1:
                    await asyncio.sleep(0)
                partition = self._partition_of.get((topic, key))
                if partition is None:
                    partition = await self._partition(topic, key)
                batches = lanes.get((topic, partition))
                if batches is None:
                    batches = lanes[topic, partition] = [self._producer.create_batch()]
                self._append(batches, topic, key, value, headers)
            await asyncio.gather(*[await self._send(lane, b) for lane, b in lanes.items()])
        except KafkaError as error:
            raise Retry(f"the broker did not take a record: {error!r}") from error

    def _append(
        self,
        batches: list[BatchBuilder],
        topic: str,
        key: bytes,
        value: bytes,
        headers: list[tuple[str, bytes]],
    ) -> None:
        """Add a record to the last of a lane's batches, or to another if that one is full."""
        if batches[-1].append(key=key, value=value, timestamp=None, headers=headers) is None:
            batches.append(self._producer.create_batch())
            if batches[-1].append(key=key, value=value, timestamp=None, headers=headers) is None:
                raise ValueError(f"a record of {len(value)} bytes is too large for {topic}")

    async def _send(self, lane: tuple[str, int], batches: list[BatchBuilder]) -> Awaitable[Any]:
        """Hand a lane's batches over in their order; await the result for their deliveries."""
        topic, partition = lane
        deliveries = []
        for batch in batches:
            batch.close()
            deliveries.append(await self._producer.send_batch(batch, topic, partition=partition))
        return asyncio.gather(*deliveries)

    async def _partition(self, topic: str, key: bytes) -> int:
        """The key's partition, as Kafka's own clients choose it; remembered, for it is costly."""
        if len(self._partition_of) > _KEYS_REMEMBERED:
            self._partition_of.clear()
        partitions = await self._producer.partitions_for(topic)
        partition: int = (murmur2(key) & 0x7FFFFFFF) % len(partitions)
        self._partition_of[topic, key] = partition
        return partition


def _reason_headers(dead: Rejected) -> list[tuple[str, bytes]]:
    return [
        ("dlq_reason", dead.reason.encode()),
        ("dlq_topic", dead.received.topic.encode()),
        ("dlq_partition", str(dead.received.partition).encode()),
        ("dlq_offset", str(dead.received.offset).encode()),
    ]


def make_producer(bootstrap: str) -> AIOKafkaProducer:
    """A producer that waits for all replicas and never reorders or doubles within a session."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=512 * 1024,
        max_request_size=4 * 1024 * 1024,
        request_timeout_ms=10_000,
        linger_ms=0,
        compression_type="snappy",
    )


@asynccontextmanager
async def open_publisher(bootstrap: str, *, source: str) -> AsyncIterator[Publisher]:
    """A publisher with a producer of its own, started and stopped around the block."""
    producer = make_producer(bootstrap)
    await producer.start()
    try:
        yield Publisher(producer, source=source)
    finally:
        await producer.stop()
