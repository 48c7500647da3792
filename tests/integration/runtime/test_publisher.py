"""The publisher through outages of the broker: what it delivers afterwards, and how soon."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from ringfence.kafka import publisher as publisher_module
from ringfence.kafka.admin import create_topics
from ringfence.kafka.brokers import Brokers
from ringfence.kafka.publisher import Publisher, open_publisher
from ringfence_contracts.errors import Retry
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import NOTICE_SENT
from ringfence_local.embedded.kafka import Kafka
from ringfence_local.embedded.ports import free_port
from ringfence_testing.wait import until

REQUEST_TIMEOUT_MS = 1_000
DELIVERY_S = 2.0
"""Both are shorter than in a service, so that deliveries fail in an outage of seconds."""

pytestmark = pytest.mark.filterwarnings(
    # aiokafka leaves connections that it could not open to the garbage collector.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker of this module's own, which its tests stop and continue."""
    kafka = Kafka(tmp_path_factory.mktemp("kafka"), wanted_port=free_port())
    try:
        kafka.start()
        asyncio.run(create_topics(Brokers(kafka.bootstrap)))
        yield kafka
    finally:
        with suppress(ProcessLookupError):
            os.kill(kafka.pid, signal.SIGCONT)
        kafka.stop()


@pytest.fixture
async def publisher(broker: Kafka, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Publisher]:
    monkeypatch.setattr(publisher_module, "REQUEST_TIMEOUT_MS", REQUEST_TIMEOUT_MS)
    monkeypatch.setattr(publisher_module, "DELIVERY_S", DELIVERY_S)
    async with open_publisher(broker.bootstrap, source="test") as opened:
        yield opened


def event(key: str, number: int) -> Outgoing:
    return Outgoing(
        topic=NOTICE_SENT,
        key=key,
        value=f'{{"number": {number}}}'.encode(),
        event_id=derive("test", key, number),
        time=datetime(2026, 11, 21, tzinfo=UTC),
        source="test",
    )


async def pause(broker: Kafka) -> None:
    """Stop the broker's process without ending it; returns when none of its threads runs."""

    def stopped() -> bool:
        stats = Path(f"/proc/{broker.pid}/task").glob("*/stat")
        return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in stats)

    os.kill(broker.pid, signal.SIGSTOP)
    await until(stopped)


async def delivered(broker: Kafka, key: str) -> set[int]:
    """The numbers of the key's events on the topic."""
    consumer = AIOKafkaConsumer(
        NOTICE_SENT.name, bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found = set()
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                records = (await consumer.getmany(partition, timeout_ms=1_000)).get(partition, [])
                values = (r.value.decode() for r in records if r.key == key.encode())
                found |= {int(value.removesuffix("}").rpartition(" ")[2]) for value in values}
        return found
    finally:
        await consumer.stop()


class Delivery:
    """Publishes an event as every caller does: again after a pause, until it is taken."""

    def __init__(self, publisher: Publisher, key: str, number: int) -> None:
        self._publisher = publisher
        self._event = event(key, number)
        self.failures = 0
        self.task = asyncio.create_task(self._deliver())

    async def _deliver(self) -> None:
        while True:
            try:
                return await self._publisher.publish([self._event])
            except Retry:
                self.failures += 1
                await asyncio.sleep(0.1)

    async def done(self) -> None:
        """Return when it is delivered, which is soon once the broker is back."""
        await asyncio.wait_for(self.task, 20)


@pytest.mark.parametrize("streams", [1, 8])
async def test_all_is_delivered_soon_after_a_pause_of_the_broker(
    broker: Kafka, publisher: Publisher, streams: int
) -> None:
    key = f"pause-{streams}"
    await publisher.publish([event(key, n) for n in range(20)])
    await pause(broker)
    deliveries = [Delivery(publisher, key, 20 + n) for n in range(streams)]
    try:
        await until(lambda: all(d.failures for d in deliveries), timeout_s=60)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    for delivery in deliveries:
        await delivery.done()
    await Delivery(publisher, key, 20 + streams).done()
    assert await delivered(broker, key) == set(range(21 + streams))


async def test_all_is_delivered_soon_after_a_restart_of_the_broker(
    broker: Kafka, publisher: Publisher
) -> None:
    key = "restart"
    await publisher.publish([event(key, n) for n in range(20)])
    os.kill(broker.pid, signal.SIGKILL)
    deliveries = [Delivery(publisher, key, 20 + n) for n in range(8)]
    await until(lambda: all(d.failures for d in deliveries), timeout_s=60)
    broker.start()
    for delivery in deliveries:
        await delivery.done()
    await Delivery(publisher, key, 28).done()
    assert await delivered(broker, key) == set(range(29))


async def test_a_producer_whose_sequence_the_broker_does_not_know_is_replaced(
    broker: Kafka, publisher: Publisher
) -> None:
    key = "sequence"
    await publisher.publish([event(key, 0)])
    # As after records that were lost on their way: the next number is not the one that is due.
    sequences = publisher.producer._txn_manager._sequence_numbers
    for partition in list(sequences):
        sequences[partition] += 7
    await Delivery(publisher, key, 1).done()
    assert await delivered(broker, key) == {0, 1}


async def test_the_service_is_not_ready_while_nothing_is_delivered(
    broker: Kafka, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "UNDELIVERED_S", 1.0)
    await publisher.publish([event("ready", 0)])
    await publisher.deliveries_arrive()
    await pause(broker)
    try:
        delivery = Delivery(publisher, "ready", 1)
        await until(lambda: _fails(publisher), timeout_s=60)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    await delivery.done()
    await publisher.deliveries_arrive()


async def _fails(publisher: Publisher) -> bool:
    try:
        await publisher.deliveries_arrive()
    except Retry:
        return True
    return False
