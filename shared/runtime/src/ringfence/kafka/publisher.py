"""Publishing: every delivery is awaited until all replicas of its partition have it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence.kafka.partition_batches import Header, PartitionBatches, Partitions
from ringfence_contracts.errors import Retry
from ringfence_contracts.records import Outgoing, Rejected
from ringfence_contracts.topics import INGEST_DEAD_LETTERS

_WRITTEN_AT_ONCE = 100
"""After so many records, control returns to the event loop, so that other batches proceed."""


class Publisher:
    """Sends events in batches, one or more for each partition, and awaits all deliveries.

    Whole batches are several times faster than single sends (docs/adr/0003). Events of one key
    keep the order in which they are given.
    """

    def __init__(self, producer: AIOKafkaProducer, *, source: str) -> None:
        self._producer = producer
        self._source = source
        self._partitions = Partitions()

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Deliver all of `events`. Raises Retry if one of them was not delivered.

        Others may have been delivered by then. Publishing all again is safe: ids are deterministic.
        """
        if not events:
            return
        with _retried():
            batches = self._new_batches()
            while batches.added < len(events):
                unknown = batches.fill(events, _WRITTEN_AT_ONCE)
                if unknown is not None:
                    await self._load_partition_count(unknown)
                elif batches.added < len(events):
                    await asyncio.sleep(0)
            await self._send(batches)

    async def broker_answers(self) -> None:
        """Return when a broker has answered a metadata request. Raises KafkaError if none does."""
        if not await self._producer.client.force_metadata_update():
            raise KafkaError("no broker answers")

    async def park(self, rejected: Sequence[Rejected], consumer: str) -> None:
        """Deliver records to their dead letters: original bytes and headers, and the reason."""
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
        """Deliver unreadable rows of a source to the dead letters: (key, bytes, reason)."""
        await self._deliver(
            (INGEST_DEAD_LETTERS, key.encode(), raw, [("dlq_reason", reason.encode())])
            for key, raw, reason in rows
        )

    async def _deliver(self, records: Iterable[tuple[str, bytes, bytes, list[Header]]]) -> None:
        with _retried():
            batches = self._new_batches()
            for topic, key, value, headers in records:
                if not self._partitions.count(topic):
                    await self._load_partition_count(topic)
                batches.add(topic, key, value, headers)
                if batches.added % _WRITTEN_AT_ONCE == 0:
                    await asyncio.sleep(0)
            await self._send(batches)

    def _new_batches(self) -> PartitionBatches:
        return PartitionBatches(self._partitions, self._producer.create_batch)

    async def _load_partition_count(self, topic: str) -> None:
        self._partitions.set_count(topic, len(await self._producer.partitions_for(topic)))

    async def _send(self, pending: PartitionBatches) -> None:
        """Send the batches of each partition in their order, and await every delivery."""
        deliveries = []
        for topic, partition, batches in pending:
            for batch in batches:
                batch.close()
                sent = await self._producer.send_batch(batch, topic, partition=partition)
                deliveries.append(sent)
        await asyncio.gather(*deliveries)


@contextmanager
def _retried() -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise Retry(f"the broker did not take a record: {error!r}") from error


def _reason_headers(dead: Rejected) -> list[tuple[str, bytes]]:
    return [
        ("dlq_reason", dead.reason.encode()),
        ("dlq_topic", dead.received.topic.encode()),
        ("dlq_partition", str(dead.received.partition).encode()),
        ("dlq_offset", str(dead.received.offset).encode()),
    ]


def make_producer(bootstrap: Bootstrap) -> AIOKafkaProducer:
    """A producer that waits for all replicas, keeps the order and is idempotent in a session."""
    return AIOKafkaProducer(
        **client_arguments(bootstrap),
        acks="all",
        enable_idempotence=True,
        max_batch_size=512 * 1024,
        max_request_size=4 * 1024 * 1024,
        request_timeout_ms=10_000,
        linger_ms=0,
        compression_type="snappy",
    )


@asynccontextmanager
async def open_publisher(bootstrap: Bootstrap, *, source: str) -> AsyncIterator[Publisher]:
    """A publisher with a producer of its own, started and stopped around the block."""
    producer = make_producer(bootstrap)
    try:
        await producer.start()
        yield Publisher(producer, source=source)
    finally:
        await producer.stop()
