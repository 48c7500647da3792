"""Each consumer on a real broker and a real database, under hostile records: none stops it.

300 hostile records are written to each topic that a service reads, then a good one. The service's
own handler processes them in the runner that the service uses; at the end all are committed, every
record that was not taken is a dead letter with its reason, and the good one was taken.
"""

import asyncio
import json
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from ringfence.kafka.agent import GuardedAgents
from ringfence.kafka.batch import BatchRunner, make_consumer
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Progress
from ringfence_contracts.examples import examples_of
from ringfence_contracts.records import Outcome, Received
from ringfence_contracts.topics import ALL_TOPICS, PARTITIONS, Topic
from ringfence_testing.records import from_outgoing
from ringfence_testing.wait import until
from tests.contract.test_consumers import CONSUMERS, consumer, what_must_stand
from tests.support.hostile import random_records

COUNT = 300
RUNNERS: dict[str, Any] = {"notifier": GuardedAgents, "accounts": GuardedAgents}
Handler = Callable[[Sequence[Received]], Awaitable[Outcome]]


class Taken:
    """Counts what a handler takes and rejects of our records, which have our header."""

    def __init__(self, handle: Handler, mark: bytes) -> None:
        self._handle = handle
        self._mark = mark
        self.good: set[str] = set()
        self.taken: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        outcome = await self._handle([r for r in batch if self._is_ours(r)])
        rejected = {id(dead.received) for dead in outcome.reject}
        for received in filter(self._is_ours, batch):
            counter = self.rejected if id(received) in rejected else self.taken
            counter[received.topic] += 1
            if dict(received.headers)["fuzz"] == self._mark + b"-good" and counter is self.taken:
                self.good.add(received.topic)
        outcome.publish = []  # its consequences are other tests' subject
        return outcome

    def _is_ours(self, received: Received) -> bool:
        return (dict(received.headers).get("fuzz") or b"").startswith(self._mark)


async def write(bootstrap: str, topics: Sequence[Topic], mark: bytes) -> None:
    """Write the hostile records, and behind them a good one in each partition of each topic."""
    chance = random.Random(20261127)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=4 * 1024 * 1024)
    await producer.start()
    try:
        for topic in topics:
            examples = examples_of(topic)
            for number in range(COUNT):
                example = examples[number % len(examples)]
                [(value, headers)] = random_records(example.value, chance, 1)
                if chance.random() < 0.5:  # else most records are rejected for their headers alone
                    event_id = uuid.UUID(int=chance.getrandbits(128))
                    headers = (("ce_id", str(event_id).encode()),)
                key = chance.choice((b"", b"\xff\x00", b"acme-1001", chance.randbytes(9), None))
                if key is None and (topic.compacted or not value):
                    key = b"a"  # the broker refuses such a record without a key
                await producer.send(
                    topic.name, value or None, key=key, headers=[*headers, ("fuzz", mark)],
                    partition=number % PARTITIONS,
                )  # fmt: skip
            await producer.flush()
            good = examples[-1].record()
            await producer.send_and_wait(
                topic.name, of_its_own(examples[-1].document), key=good.key.encode(), partition=0,
                headers=[*good.headers(), ("fuzz", mark + b"-good")],
            )  # fmt: skip
    finally:
        await producer.stop()


def of_its_own(document: dict[str, Any]) -> bytes:
    """A good record under an id that no hostile one has: it would be the same call or alarm."""
    own = {name: str(uuid.uuid4()) for name in ("call_id", "alarm_id") if name in document}
    return json.dumps(document | own).encode()


async def are_committed(bootstrap: str, topics: Sequence[Topic], group: str) -> bool:
    """Whether the group has committed every record of the topics."""
    reader = make_consumer(bootstrap, group)
    await reader.start()
    try:
        partitions = [TopicPartition(t.name, p) for t in topics for p in range(PARTITIONS)]
        ends = await reader.end_offsets(partitions)
        done = {p: await reader.committed(p) or 0 for p in partitions}
        return all(done[p] >= ends[p] for p in partitions)
    finally:
        await reader.stop()


async def dead_letters(bootstrap: str, topic: str, mark: bytes) -> list[dict[str, bytes]]:
    """The headers of our dead letters in a topic."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await reader.start()
    try:
        partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        reader.assign(partitions)
        await reader.seek_to_beginning(*partitions)
        ends = await reader.end_offsets(partitions)
        found = []
        while any([await reader.position(p) < ends[p] for p in partitions]):
            for records in (await reader.getmany(timeout_ms=500)).values():
                found += [dict(record.headers) for record in records]
        return [headers for headers in found if (headers.get("fuzz") or b"").startswith(mark)]
    finally:
        await reader.stop()


@pytest.mark.parametrize("service", sorted(CONSUMERS))
async def test_no_hostile_record_stops_a_consumer(
    service: str, own_kafka_bootstrap: str, database: str
) -> None:
    topics = [topic for topic in ALL_TOPICS if service in topic.readers]
    mark, group = uuid.uuid4().hex.encode(), f"g{uuid.uuid4().hex}"
    await what_must_stand(database)
    await write(own_kafka_bootstrap, topics, mark)
    stop = asyncio.Event()
    async with (
        consumer(service, database) as handle,
        open_publisher(own_kafka_bootstrap, source=service) as publisher,
    ):
        taken = Taken(handle, mark)
        runner = RUNNERS.get(service, BatchRunner)(
            RecordProcessor(taken.handle, publisher, consumer=service),
            topics,
            bootstrap=own_kafka_bootstrap,
            group=group,
            progress=Progress("fuzz"),
        )
        task = asyncio.create_task(runner.run(stop))

        async def done() -> bool:
            if task.done():
                task.result()
            return await are_committed(own_kafka_bootstrap, topics, group)

        await until(done, timeout_s=200)
        stop.set()
        await task
    print(f"\n{service}: topic, taken, rejected with a reason, of {COUNT} hostile and 1 good")
    for topic in topics:
        letters = await dead_letters(own_kafka_bootstrap, topic.dead_letters(service), mark)
        print(f"  {topic.name:34}{taken.taken[topic.name]:5}{len(letters):5}")
        assert len(letters) == taken.rejected[topic.name]
        assert all(letter["dlq_reason"] for letter in letters)
        assert taken.taken[topic.name] + len(letters) == COUNT + 1
    assert taken.good == {topic.name for topic in topics}


def test_the_good_record_is_a_published_example() -> None:
    """So that it is certain to be taken by a consumer that works."""
    for topic in ALL_TOPICS:
        assert from_outgoing(examples_of(topic)[-1].record()).value == examples_of(topic)[-1].value
