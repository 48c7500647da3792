"""The batch runner: the shell for volume. Poll, handle all, await all deliveries, commit."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from ringfence.kafka.records import Received
from ringfence.kafka.shell import Shell
from ringfence.observe.health import Progress
from ringfence.observe.metrics import BATCH_SECONDS, BATCH_SIZE, LAG
from ringfence.topics import Topic

log = structlog.get_logger()


class BatchRunner:
    """Runs a shell on whatever is there to read, until told to stop.

    The offset moves only after the batch is settled: a kill at any point means the same batch
    again, by the next owner of its partitions.
    """

    def __init__(
        self,
        shell: Shell,
        topics: Sequence[Topic],
        *,
        bootstrap: str,
        group: str,
        progress: Progress,
        max_records: int = 3000,
    ) -> None:
        self._shell = shell
        self._topics = [topic.name for topic in topics]
        self._bootstrap = bootstrap
        self._group = group
        self._progress = progress
        self._max_records = max_records

    async def run(self, stop: asyncio.Event) -> None:
        """Read and settle until `stop` is set; the batch in hand is finished first."""
        consumer = make_consumer(self._topics, self._bootstrap, self._group)
        await consumer.start()
        try:
            while not stop.is_set():
                polled = await consumer.getmany(timeout_ms=250, max_records=self._max_records)
                batch = [as_received(record) for records in polled.values() for record in records]
                if batch:
                    with BATCH_SECONDS.labels(self._group).time():
                        await self._shell.settle(batch)
                    BATCH_SIZE.labels(self._group).observe(len(batch))
                    await _commit(consumer, {at: records[-1] for at, records in polled.items()})
                self._progress.turned(read=len(batch), lag=await _lag(consumer, self._group))
        finally:
            await consumer.stop()


def make_consumer(topics: Sequence[str], bootstrap: str, group: str) -> AIOKafkaConsumer:
    """A group consumer with every setting that matters stated."""
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=12_000,
        heartbeat_interval_ms=3_000,
        rebalance_timeout_ms=30_000,
        max_poll_interval_ms=60_000,
        request_timeout_ms=40_000,
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=1024 * 1024,
    )


def as_received(record: Any) -> Received:
    """aiokafka's record as ours."""
    return Received(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value or b"",
        tuple(record.headers),
    )


async def _commit(consumer: AIOKafkaConsumer, last: Mapping[TopicPartition, Any]) -> None:
    try:
        await consumer.commit({at: record.offset + 1 for at, record in last.items()})
    except (CommitFailedError, IllegalStateError) as error:
        # The partitions went to another replica meanwhile. It handles the batch again, which
        # changes nothing: every effect is keyed.
        log.info("commit refused after a rebalance", reason=str(error))


async def _lag(consumer: AIOKafkaConsumer, group: str) -> int:
    """Records on our partitions that we have not read, as of the last fetch of each."""
    total = 0
    for partition in consumer.assignment():
        end = consumer.highwater(partition)
        if end is not None:
            total += max(0, end - await consumer.position(partition))
    LAG.labels(group).set(total)
    return total
