"""The batch consumer, for volume: poll, process, await all deliveries, commit the offsets."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError

from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence.kafka.clients import start_client
from ringfence.kafka.failures.crash_ranges import offsets_of
from ringfence.kafka.failures.header_names import recover
from ringfence.kafka.pipeline import BatchPipeline
from ringfence.kafka.processor import R, RecordProcessor
from ringfence.observe.health import Progress
from ringfence.observe.metrics import LAG
from ringfence_contracts.records import Received, as_received
from ringfence_contracts.topics import Topic

_WAIT_MS = 250
_TAKEN_AT_ONCE = 500
_SAVED = "saved beside the effects"
"""The metadata of an offset in Kafka that is in the database too."""

_HANDOVER_BOUND_S = 20.0
"""Shorter than the group's rebalance time-out."""

log = structlog.get_logger()


class PartitionState(NamedTuple):
    """An assigned partition: its first offset, that behind its last record, and the committed one.

    `committed` is None where the group has committed nothing. `is_saved`: whether it was saved
    beside the effects before; what a former version or a person committed was not.
    """

    begin: int
    end: int
    committed: int | None
    is_saved: bool = True


class SavedOffsets(Protocol):
    """The offsets that are stored beside a group's effects (`ConsumedOffsets`)."""

    async def save(self, ends: Mapping[TopicPartition, int]) -> None:
        """Save the offsets behind a batch whose effects are committed."""
        ...

    async def start_points(
        self, states: Mapping[TopicPartition, PartitionState]
    ) -> Mapping[TopicPartition, int]:
        """Where to read from instead of the committed offsets, after the database was set back."""
        ...


Assigned = Callable[[Collection[TopicPartition]], Awaitable[None]]
"""What is awaited when partitions were assigned."""


class BatchRunner(Generic[R]):
    """Reads batches of `topics` as `group` and processes them until it is stopped.

    Up to three batches are in flight (`BatchPipeline`). Offsets are committed only after a batch's
    events are delivered: after a kill at any point, the next owner of the partitions processes the
    same batches again. `max_records` is the size of the largest batch. With `offsets`, a database
    that was set back is found when partitions are assigned, and what it has lost is read again.
    """

    def __init__(
        self,
        processor: RecordProcessor[R],
        topics: Sequence[Topic],
        *,
        bootstrap: Bootstrap,
        group: str,
        progress: Progress,
        max_records: int = 3000,
        offsets: SavedOffsets | None = None,
    ) -> None:
        self._offsets = offsets
        self._processor = processor
        self._topics = [topic.name for topic in topics]
        self._bootstrap = bootstrap
        self._group = group
        self._progress = progress
        self._max_records = max_records

    async def run(self, stop: asyncio.Event) -> None:
        """Read and process until `stop` is set, and then finish the batches in flight."""
        consumer = make_consumer(self._bootstrap, self._group)
        pipeline = BatchPipeline(self._processor, group=self._group)
        handover = _Handover(pipeline, self._processor, self._start_points(consumer))
        consumer.subscribe(self._topics, listener=handover)
        await start_client(consumer)
        try:
            while not stop.is_set():
                await pipeline.wait_for_room()
                batch, ends = await self._poll(consumer, handover)
                if batch:
                    await self._start(pipeline, consumer, batch, ends)
                lag = await self._lag(consumer, pipeline)
                self._progress.turned(read=pipeline.take_processed(), lag=lag)
            await pipeline.drain()
        finally:
            await pipeline.cancel()
            await consumer.stop()

    def _start_points(self, consumer: AIOKafkaConsumer) -> Assigned:
        """What is done with partitions that were assigned, before anything of them is read."""

        async def go_back(assigned: Collection[TopicPartition]) -> None:
            if self._offsets is None or not assigned:
                return
            states = await _states_of(consumer, self._bootstrap, self._group, assigned)
            for at, offset in (await self._offsets.start_points(states)).items():
                consumer.seek(at, offset)

        return go_back

    async def _start(
        self,
        pipeline: BatchPipeline[R],
        consumer: AIOKafkaConsumer,
        batch: list[Received],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        """Start a batch: as a whole, or after crashes in parts that commit their own offsets."""
        parts = await self._processor.divide(batch)
        for number, part in enumerate(parts):
            if number:
                await pipeline.wait_for_room()
            part_ends = ends if len(parts) == 1 else _ends_of(part.records)
            await pipeline.start(part, partial(_commit, consumer, part_ends, self._offsets))

    async def _poll(
        self, consumer: AIOKafkaConsumer, handover: "_Handover"
    ) -> tuple[list[Received], dict[TopicPartition, int]]:
        """The next records, and for each partition the offset behind them; empty after 250 ms.

        They are taken 500 at a time, so that aiokafka's own objects for each record are freed
        before the next ones are made. They stay in the processor's cache, which is faster.
        """
        batch: list[Received] = []
        ends: dict[TopicPartition, int] = {}
        wait_ms = _WAIT_MS
        # One at a time, a large batch would take longer than the group waits for the next poll.
        most = _TAKEN_AT_ONCE if self._processor.is_cautious else self._max_records
        most = min(most, self._max_records)
        while len(batch) < most:
            room = min(_TAKEN_AT_ONCE, most - len(batch))
            try:
                polled = await consumer.getmany(timeout_ms=wait_ms, max_records=room)
            except UnicodeDecodeError as error:
                recover(error)
                break
            if not polled:
                break
            wait_ms = 0
            await handover.finished()
            for at, records in polled.items():
                if await _is_before(consumer, at, records[0].offset):
                    continue
                batch += as_received(records)
                ends[at] = records[-1].offset + 1
        return batch, ends

    async def _lag(self, consumer: AIOKafkaConsumer, pipeline: BatchPipeline[R]) -> int:
        """Records on our partitions that are not processed yet, as of the last fetch of each."""
        total = pipeline.in_flight
        for partition in consumer.assignment():
            end = consumer.highwater(partition)
            if end is not None:
                total += max(0, end - await consumer.position(partition))
        LAG.labels(self._group).set(total)
        return total


class _Handover(ConsumerRebalanceListener):  # type: ignore[misc] # it ships no types
    """Lets batches in flight be committed before another replica is given their partitions.

    This only saves work: a batch that is not committed in time is processed again there.
    """

    def __init__(
        self,
        pipeline: BatchPipeline[Any],
        processor: RecordProcessor[Any],
        assigned: Assigned,
    ) -> None:
        self._pipeline = pipeline
        self._processor = processor
        self._assigned = assigned
        self._finished = asyncio.Event()
        self._failure: Exception | None = None

    async def finished(self) -> None:
        """Wait for the end of a handover that is under way. Raises the error that ended it."""
        await self._finished.wait()
        if self._failure is not None:
            raise self._failure

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Wait for the batches in flight, at most 20 s."""
        self._finished.clear()
        await self._pipeline.wait_idle(_HANDOVER_BOUND_S)
        self._processor.unassigned()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Go on at the committed offsets, or further back if the database was set back.

        The consumer logs what is raised here and goes on; so `finished` raises it.
        """
        try:
            await self._assigned(assigned)
        except Exception as error:
            self._failure = error
        finally:
            self._finished.set()


async def _states_of(
    consumer: AIOKafkaConsumer,
    bootstrap: Bootstrap,
    group: str,
    assigned: Collection[TopicPartition],
) -> dict[TopicPartition, PartitionState]:
    begins = await consumer.beginning_offsets(assigned)
    ends = await consumer.end_offsets(assigned)
    admin = AIOKafkaAdminClient(**client_arguments(bootstrap))  # a consumer drops the metadata
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(group, partitions=list(assigned))
    finally:
        await admin.close()
    known = {at: found for at, found in committed.items() if found.offset >= 0}
    return {
        at: PartitionState(
            begins[at],
            ends[at],
            known[at].offset if at in known else None,
            at in known and known[at].metadata == _SAVED,
        )
        for at in assigned
    }


async def _is_before(consumer: AIOKafkaConsumer, at: TopicPartition, offset: int) -> bool:
    """Whether the consumer reads from before this record of a poll: it went back since the poll."""
    try:
        return bool(await consumer.position(at) <= offset)
    except IllegalStateError:  # another replica's now; it reads from its own start
        return False


def make_consumer(bootstrap: Bootstrap, group: str) -> AIOKafkaConsumer:
    """A group consumer that states every setting that matters. The caller subscribes it."""
    return AIOKafkaConsumer(
        **client_arguments(bootstrap),
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


def _ends_of(records: Sequence[Received]) -> dict[TopicPartition, int]:
    """The offset behind the last record of each partition."""
    return {TopicPartition(*place): last + 1 for place, (_, last) in offsets_of(records).items()}


async def _commit(
    consumer: AIOKafkaConsumer,
    ends: Mapping[TopicPartition, int],
    offsets: SavedOffsets | None,
) -> None:
    """Commit the offsets behind a batch: beside its effects first, so that Kafka is never ahead."""
    if offsets is not None:
        await offsets.save(ends)
    metadata = "" if offsets is None else _SAVED
    try:
        await consumer.commit({at: (offset, metadata) for at, offset in ends.items()})
    except (CommitFailedError, IllegalStateError) as error:
        # Another replica owns the partitions now. It processes the batch again, which changes
        # nothing: every effect has a deterministic id.
        log.info("commit refused after a rebalance", reason=str(error))
