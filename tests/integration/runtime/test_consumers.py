"""Both consumers on a real broker: nothing lost, nothing acknowledged before it is safe."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from ringfence.kafka.agent import GuardedAgents
from ringfence.kafka.batch import BatchRunner, make_consumer
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import Publisher, open_publisher
from ringfence.observe.health import Progress
from ringfence_contracts.errors import Retry
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outcome, Outgoing, Received, Rejected
from ringfence_contracts.topics import BALANCE_LOW, NOTICE_SENT, SERVICE_RESTORED, Topic
from ringfence_testing.wait import PATIENCE, until
from tests.support.narrow import present

SHELLS = [BatchRunner, GuardedAgents]


def event(topic: Topic, key: str, number: int) -> Outgoing:
    return Outgoing(
        topic=topic,
        key=key,
        value=f'{{"number": {number}}}'.encode(),
        event_id=derive("test", key, number),
        time=datetime(2026, 11, 21, tzinfo=UTC),
        source="test",
    )


async def caught_up(bootstrap: str, topic: Topic, group: str) -> bool:
    """Whether the group has committed every record of the topic."""
    consumer = make_consumer(bootstrap, group)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, p) for p in range(12)]
        ends = await consumer.end_offsets(partitions)
        done = {p: await consumer.committed(p) or 0 for p in partitions}
        return all(done[p] >= ends[p] for p in partitions)
    finally:
        await consumer.stop()


class Recorder:
    """A handler that records what it saw and fails as the test sets it."""

    def __init__(self, mine: str) -> None:
        self.mine = mine
        self.seen: list[str] = []
        self.failures: list[Exception] = []
        self.reject = ""

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        ours = [r for r in batch if r.key == self.mine.encode()]
        if ours and self.failures:
            raise self.failures.pop(0)
        self.seen += [r.value.decode() for r in ours]
        return Outcome(
            publish=[event(NOTICE_SENT, self.mine, 0)] if ours else [],
            reject=[Rejected(r, "on purpose") for r in ours if r.value.decode() == self.reject],
        )


async def run_consumer(
    kind: Any,
    recorder: Recorder,
    publisher: Publisher,
    topic: Topic,
    bootstrap: str,
    group: str,
    stop: asyncio.Event,
    **settings: Any,
) -> None:
    runner = kind(
        RecordProcessor(recorder.handle, publisher, consumer="notifier", **settings),
        (topic,),
        bootstrap=bootstrap,
        group=group,
        progress=Progress("test"),
    )
    await runner.run(stop)


@pytest.mark.parametrize("kind", SHELLS)
async def test_every_event_is_handled_and_then_committed(kind: Any, kafka_bootstrap: str) -> None:
    key, group, stop = f"k{uuid.uuid4().hex}", f"g{uuid.uuid4().hex}", asyncio.Event()
    recorder = Recorder(key)
    async with open_publisher(kafka_bootstrap, source="test") as publisher:
        await publisher.publish([event(BALANCE_LOW, key, n) for n in range(50)])
        task = asyncio.create_task(
            run_consumer(kind, recorder, publisher, BALANCE_LOW, kafka_bootstrap, group, stop)
        )
        await until(lambda: len(recorder.seen) == 50, timeout_s=30)
        await until(lambda: caught_up(kafka_bootstrap, BALANCE_LOW, group), timeout_s=15)
        stop.set()
        await task
    assert recorder.seen == [f'{{"number": {n}}}' for n in range(50)]


@pytest.mark.parametrize("kind", SHELLS)
async def test_a_transient_failure_is_retried_in_place(kind: Any, kafka_bootstrap: str) -> None:
    key, group, stop = f"k{uuid.uuid4().hex}", f"g{uuid.uuid4().hex}", asyncio.Event()
    recorder = Recorder(key)
    recorder.failures = [Retry("the database is away"), Retry("and still is")]
    async with open_publisher(kafka_bootstrap, source="test") as publisher:
        await publisher.publish([event(BALANCE_LOW, key, n) for n in range(3)])
        task = asyncio.create_task(
            run_consumer(kind, recorder, publisher, BALANCE_LOW, kafka_bootstrap, group, stop)
        )
        await until(lambda: len(recorder.seen) == 3, timeout_s=30)
        stop.set()
        await task
    assert recorder.failures == []


@pytest.mark.parametrize("kind", SHELLS)
async def test_a_rejected_record_is_parked_whole_and_the_next_is_processed(
    kind: Any, kafka_bootstrap: str
) -> None:
    key, group, stop = f"k{uuid.uuid4().hex}", f"g{uuid.uuid4().hex}", asyncio.Event()
    recorder = Recorder(key)
    recorder.reject = '{"number": 1}'
    async with open_publisher(kafka_bootstrap, source="test") as publisher:
        await publisher.publish([event(BALANCE_LOW, key, n) for n in range(3)])
        task = asyncio.create_task(
            run_consumer(kind, recorder, publisher, BALANCE_LOW, kafka_bootstrap, group, stop)
        )
        dead = await read_one(kafka_bootstrap, BALANCE_LOW.dead_letters("notifier"), key)
        await until(lambda: len(recorder.seen) == 3, timeout_s=30)
        stop.set()
        await task
    headers = dict(dead.headers)
    assert dead.value == b'{"number": 1}'
    assert headers["dlq_reason"] == b"on purpose"
    assert headers["ce_id"] == str(derive("test", key, 1)).encode()


async def read_one(bootstrap: str, topic: str, key: str) -> Any:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            async for record in consumer:
                if record.key == key.encode():
                    return record
    finally:
        await consumer.stop()


WORKER = """
import asyncio, sys
from ringfence.kafka.agent import GuardedAgents
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.publisher import open_publisher
from ringfence_contracts.records import Outcome
from ringfence.kafka.processor import RecordProcessor
from ringfence.process import run_service
from ringfence.settings import CommonSettings
from ringfence_contracts.topics import SERVICE_RESTORED

kind, bootstrap, group, key, fails = sys.argv[1:]

async def handle(batch):
    for record in batch:
        if record.key == key.encode():
            print(record.value.decode(), flush=True)
            if fails == "bug":
                raise KeyError("a bug")
            if fails == "hang":
                await asyncio.sleep(3600)
    return Outcome()

async def main(health, stop):
    async with open_publisher(bootstrap, source="test") as publisher:
        runner = {"BatchRunner": BatchRunner, "GuardedAgents": GuardedAgents}[kind](
            RecordProcessor(handle, publisher, consumer="notifier"), (SERVICE_RESTORED,),
            bootstrap=bootstrap, group=group, progress=health.loop("test"))
        await runner.run(stop)

run_service("test", CommonSettings(), main)
"""


@pytest.mark.parametrize("kind", SHELLS)
@pytest.mark.parametrize(
    ("fails", "end", "status"),
    [("bug", None, 70), ("hang", signal.SIGKILL, -9), ("hang", signal.SIGTERM, 0)],
)
async def test_an_event_in_flight_at_the_end_is_delivered_again(
    kind: Any, fails: str, end: int | None, status: int, kafka_bootstrap: str
) -> None:
    """A bug, a kill and a termination all leave the offset where it was."""
    if kind is BatchRunner and end == signal.SIGTERM:
        pytest.skip("the batch runner finishes its batch first")
    key, group = f"k{uuid.uuid4().hex}", f"g{uuid.uuid4().hex}"
    async with open_publisher(kafka_bootstrap, source="test") as publisher:
        await publisher.publish([event(SERVICE_RESTORED, key, n) for n in range(2)])
    with worker(kind, kafka_bootstrap, group, key, fails) as first:
        assert await said(first) == '{"number": 0}\n'
        if end is not None:
            os.kill(first.pid, end)
        assert await asyncio.to_thread(first.wait, 45) == status
    with worker(kind, kafka_bootstrap, group, key, "nothing") as second:
        seen = [await said(second) for _ in range(2)]
        assert seen == ['{"number": 0}\n', '{"number": 1}\n']


async def test_batches_in_flight_are_committed_before_a_rebalance(
    kafka_bootstrap: str,
) -> None:
    """Nothing is handled twice when a replica joins while a batch is in flight."""
    key, group, stop = f"k{uuid.uuid4().hex}", f"g{uuid.uuid4().hex}", asyncio.Event()
    slow, other, in_hand = Recorder(key), Recorder(key), asyncio.Event()
    handle = slow.handle

    async def held(batch: Sequence[Received]) -> Outcome:
        """Until the other replica has records, which it should not, or long enough for that."""
        in_hand.set()
        with suppress(AssertionError):
            await until(lambda: bool(other.seen), timeout_s=6 / PATIENCE)
        return await handle(batch)

    slow.handle = held  # type: ignore[method-assign]
    async with open_publisher(kafka_bootstrap, source="test") as publisher:
        await publisher.publish([event(BALANCE_LOW, key, n) for n in range(20)])
        runs = (publisher, BALANCE_LOW, kafka_bootstrap, group, stop)
        first = asyncio.create_task(run_consumer(BatchRunner, slow, *runs))
        await asyncio.wait_for(in_hand.wait(), 120)
        second = asyncio.create_task(run_consumer(BatchRunner, other, *runs))
        try:
            await until(lambda: caught_up(kafka_bootstrap, BALANCE_LOW, group), timeout_s=40)
        finally:
            stop.set()
            await asyncio.gather(first, second)
    assert sorted(slow.seen + other.seen) == sorted(f'{{"number": {n}}}' for n in range(20))


async def said(process: subprocess.Popen[str]) -> str:
    """The next line, or a failure in bounded time: leaving `worker` ends the waiting thread."""
    async with asyncio.timeout(60):
        return await asyncio.to_thread(present(process.stdout).readline)


@contextmanager
def worker(
    kind: Any, bootstrap: str, group: str, key: str, fails: str
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WORKER, kind.__name__, bootstrap, group, key, fails]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_events_of_one_key_keep_their_order_over_many_batches(kafka_bootstrap: str) -> None:
    key = f"k{uuid.uuid4().hex}"
    padding = "x" * 60_000
    async with open_publisher(kafka_bootstrap, source="test") as publisher:
        events = [event(NOTICE_SENT, key, n) for n in range(30)]
        big = [
            Outgoing(
                topic=e.topic,
                key=e.key,
                value=f'{{"n": {n}, "padding": "{padding}"}}'.encode(),
                event_id=e.event_id,
                time=e.time,
                source=e.source,
            )
            for n, e in enumerate(events)
        ]
        await publisher.publish(big)
    assert await numbers(kafka_bootstrap, key, 30) == list(range(30))


async def numbers(bootstrap: str, key: str, count: int) -> list[int]:
    consumer = AIOKafkaConsumer(
        NOTICE_SENT.name, bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    found: list[int] = []
    try:
        async with asyncio.timeout(30):
            async for record in consumer:
                if record.key == key.encode():
                    found.append(int(record.value.split(b",")[0].split(b":")[1]))
                    if len(found) == count:
                        return found
    finally:
        await consumer.stop()
    return found
