"""Publishing: every delivery is awaited until all replicas of its partition have it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence.kafka.clients import start_client
from ringfence.kafka.failures.dead_letters import SIZES, DeadLetter, dead_letter, source_row
from ringfence.kafka.partition_batches import PartitionBatches, Partitions
from ringfence_contracts.errors import Retry, RingfenceError
from ringfence_contracts.records import Outgoing, Rejected
from ringfence_contracts.topics import INGEST_DEAD_LETTERS

REQUEST_TIMEOUT_MS = 10_000
"""How long the broker may take for a request."""

DELIVERY_S = 20.0
"""How long a delivery may take. The client itself would send it again without end."""

UNDELIVERED_S = 45.0
"""A service in which all deliveries have failed for so long is not ready."""

_WRITTEN_AT_ONCE = 100
"""After so many records, control returns to the event loop, so that other batches proceed."""

_STOP_S = 10.0
"""How long a stop waits for what is on its way. A sender without an answer sends it again."""

log = structlog.get_logger()


class RecordTooLarge(RingfenceError):
    """A record is larger than its topic allows: the same record can never be published."""


class Publisher:
    """Sends events in batches, one or more for each partition, and awaits all deliveries.

    Whole batches are several times faster than single sends (docs/adr/0003). Events of one key
    keep the order in which they are given.

    A producer numbers the batches of each partition, also those that it then fails to deliver: the
    broker refuses all further ones for the gap. So after a failed delivery the next events are sent
    by a new producer, and with their deterministic ids it does no harm to send an event twice.
    """

    def __init__(self, bootstrap: Bootstrap, *, source: str) -> None:
        self.producer = make_producer(bootstrap)
        self._bootstrap = bootstrap
        self._source = source
        self._partitions = Partitions()
        self._failed: AIOKafkaProducer | None = None
        self._replacement: asyncio.Task[None] | None = None
        self._retired: set[asyncio.Task[None]] = set()
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._in_progress = 0

    async def start(self) -> None:
        """Connect. Raises KafkaError or TimeoutError if no broker answers."""
        await start_client(self.producer)

    async def stop(self) -> None:
        """Send what is left, and close all connections; give up what takes longer than 10 s."""
        if self._replacement is not None:
            self._replacement.cancel()
        last = asyncio.create_task(_retire(self.producer))
        await asyncio.wait({last, *self._retired}, timeout=_STOP_S)

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Deliver all of `events`. Raises Retry if one of them was not delivered, and
        RecordTooLarge, which is a bug: contracts allow only what fits.

        Others may have been delivered by then. Publishing all again is safe: ids are deterministic.
        """
        if not events:
            return
        with self._delivering():
            producer = await self._working_producer()
            batches = self._new_batches()
            while batches.added < len(events):
                unknown = batches.fill(events, _WRITTEN_AT_ONCE)
                if unknown is not None:
                    await self._load_partition_count(unknown)
                elif batches.added < len(events):
                    await asyncio.sleep(0)
            await self._send(producer, batches)

    async def broker_answers(self) -> None:
        """Return when a broker has answered a metadata request. Raises KafkaError if none does."""
        if not await self.producer.client.force_metadata_update():
            raise KafkaError("no broker answers")

    async def deliveries_arrive(self) -> None:
        """Raise Retry if every delivery of the last UNDELIVERED_S seconds has failed.

        If nothing was to be delivered in this time, nothing is wrong.
        """
        now = time.monotonic()
        since = self._failing_since
        waiting = self._in_progress > 0 or now - self._failed_at < UNDELIVERED_S
        if since is not None and waiting and now - since >= UNDELIVERED_S:
            raise Retry(f"nothing was delivered for {now - since:.0f} s")

    async def park(self, rejected: Sequence[Rejected], consumer: str) -> None:
        """Deliver records to their dead letters: original bytes and headers, and the reason.

        A record that does not fit is cut (`dead_letters`). Raises Retry as `publish` does.
        """
        await self._deliver(lambda size: [dead_letter(d, consumer, size) for d in rejected])

    async def park_source_rows(self, rows: Iterable[tuple[str, bytes, str]]) -> None:
        """Deliver unreadable rows of a source to the dead letters: (key, bytes, reason)."""
        listed = list(rows)
        await self._deliver(
            lambda size: [source_row(INGEST_DEAD_LETTERS, *row, size) for row in listed]
        )

    async def _deliver(self, letters: Callable[[int], Sequence[DeadLetter]]) -> None:
        """Deliver dead letters; all again, but smaller, if the broker refuses the size of one."""
        for size in SIZES:
            try:
                with self._delivering():
                    await self._deliver_once(letters(size))
            except RecordTooLarge:
                if size == SIZES[-1]:
                    raise
            else:
                return

    async def _deliver_once(self, letters: Sequence[DeadLetter]) -> None:
        if not letters:
            return
        producer = await self._working_producer()
        batches = self._new_batches()
        for topic, key, value, headers in letters:
            if not self._partitions.count(topic):
                await self._load_partition_count(topic)
            batches.add(topic, key, value, headers)
            if batches.added % _WRITTEN_AT_ONCE == 0:
                await asyncio.sleep(0)
        await self._send(producer, batches)

    def _new_batches(self) -> PartitionBatches:
        return PartitionBatches(self._partitions, self.producer.create_batch)

    async def _load_partition_count(self, topic: str) -> None:
        self._partitions.set_count(topic, len(await self.producer.partitions_for(topic)))

    async def _send(self, producer: AIOKafkaProducer, pending: PartitionBatches) -> None:
        """Send the batches of each partition in their order, and await every delivery."""
        deliveries = []
        try:
            for topic, partition, batches in pending:
                for batch in batches:
                    batch.close()
                    sent = await producer.send_batch(batch, topic, partition=partition)
                    deliveries.append(sent)
            await _all_delivered(deliveries)
        except KafkaError:
            self._failed = producer
            raise

    @contextmanager
    def _delivering(self) -> Iterator[None]:
        """Raise Retry or RecordTooLarge for errors of the broker; note since when it fails."""
        self._in_progress += 1
        try:
            yield
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise RecordTooLarge(f"the broker refuses the size of a record: {error!r}") from error
        except KafkaError as error:
            self._failed_at = time.monotonic()
            self._failing_since = self._failing_since or self._failed_at
            raise Retry(f"the broker did not take a record: {error!r}") from error
        else:
            self._failing_since = None
        finally:
            self._in_progress -= 1

    async def _working_producer(self) -> AIOKafkaProducer:
        """The producer, or a new one if a delivery of it has failed. Raises KafkaError."""
        if self._failed is self.producer:
            # One attempt at a time, which all callers await, whatever becomes of one of them.
            if self._replacement is None:
                self._replacement = asyncio.create_task(self._replace_producer())
            await asyncio.shield(self._replacement)
        return self.producer

    async def _replace_producer(self) -> None:
        successor = make_producer(self._bootstrap)
        try:
            await start_client(successor)
            retired, self.producer = self.producer, successor
            log.warning("producer replaced after a failed delivery")
            task = asyncio.create_task(_retire(retired))
            self._retired.add(task)
            task.add_done_callback(self._retired.discard)
        finally:
            self._replacement = None


async def _all_delivered(deliveries: Sequence["asyncio.Future[object]"]) -> None:
    """Return when all are delivered. Raises KafkaError if one fails or takes too long."""
    done, pending = await asyncio.wait(
        deliveries, timeout=DELIVERY_S, return_when=asyncio.FIRST_EXCEPTION
    )
    for delivery in pending:
        delivery.add_done_callback(_forget_outcome)
    for delivery in done:
        delivery.result()
    if pending:
        raise KafkaTimeoutError(f"no answer within {DELIVERY_S:.0f} s")


def _forget_outcome(delivery: "asyncio.Future[object]") -> None:
    """Keep asyncio from logging the error of a delivery that nobody waits for any more."""
    if not delivery.cancelled():
        delivery.exception()


async def _retire(producer: AIOKafkaProducer) -> None:
    """Stop a producer, once what it was given is delivered or refused."""
    with suppress(KafkaError, OSError):
        await producer.stop()


def make_producer(bootstrap: Bootstrap) -> AIOKafkaProducer:
    """A producer that waits for all replicas, keeps the order and is idempotent in a session."""
    return AIOKafkaProducer(
        **client_arguments(bootstrap),
        acks="all",
        enable_idempotence=True,
        max_batch_size=512 * 1024,
        max_request_size=4 * 1024 * 1024,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        linger_ms=0,
        compression_type="snappy",
    )


@asynccontextmanager
async def open_publisher(bootstrap: Bootstrap, *, source: str) -> AsyncIterator[Publisher]:
    """A connected publisher, which is stopped after the block."""
    publisher = Publisher(bootstrap, source=source)
    try:
        await publisher.start()
        yield publisher
    finally:
        await publisher.stop()
