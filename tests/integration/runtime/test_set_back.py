"""A database that came back as it was earlier: its group reads again what it has lost."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import pytest
from aiokafka import TopicPartition

from ringfence.anti_entropy.offsets import ConsumedOffsets
from ringfence.clock import SystemClock
from ringfence.kafka.batch import BatchRunner, PartitionState
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import Publisher, open_publisher
from ringfence.observe.health import Progress
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outcome, Outgoing, Received
from ringfence_contracts.topics import BALANCE_LOW, RATING_ALARM
from ringfence_testing.wait import until

ALARMS = Alarms(RATING_ALARM, schema="rating")
AT = TopicPartition("any.topic.v1", 3)


def events(key: str, numbers: range) -> list[Outgoing]:
    return [
        Outgoing(
            topic=BALANCE_LOW,
            key=key,
            value=f'{{"number": {n}}}'.encode(),
            event_id=derive("test", key, n),
            time=datetime(2026, 11, 21, tzinfo=UTC),
            source="test",
        )
        for n in numbers
    ]


@dataclass
class Reader:
    """A group of its own, and what it handles of one key."""

    pool: Pool
    publisher: Publisher
    bootstrap: str
    key: str = field(default_factory=lambda: f"k{uuid.uuid4().hex}")
    group: str = field(default_factory=lambda: f"g{uuid.uuid4().hex}")
    seen: list[int] = field(default_factory=list)
    partitions: set[int] = field(default_factory=set)

    @property
    def offsets(self) -> ConsumedOffsets:
        return ConsumedOffsets(
            self.pool, ALARMS, service="rating", group=self.group, clock=SystemClock()
        )

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        ours = [record for record in batch if record.key == self.key.encode()]
        self.partitions |= {record.partition for record in ours}
        self.seen += [int(record.value.decode().split()[1][:-1]) for record in ours]
        return Outcome()

    @asynccontextmanager
    async def running(
        self, offsets: ConsumedOffsets | None = None, *, former: bool = False
    ) -> AsyncIterator[None]:
        """Run the reader, as `former` versions did without stored offsets."""
        stop = asyncio.Event()
        runner = BatchRunner(
            RecordProcessor(self.handle, self.publisher, consumer="notifier"),
            (BALANCE_LOW,),
            bootstrap=self.bootstrap,
            group=self.group,
            progress=Progress("test"),
            offsets=None if former else offsets or self.offsets,
        )
        task = asyncio.create_task(runner.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def see(self, numbers: range) -> None:
        """Run until these were handled, and then committed."""
        self.seen = []
        async with self.running():
            await until(lambda: self.seen == list(numbers), timeout_s=30)

    async def sql(self, query: str, *values: object) -> list[asyncpg.Record]:
        return await self.pool.fetch(query, *values)

    async def alarms(self) -> list[str]:
        rows = await self.sql("select message from rating.alarm where key = 'restored'")
        return [row["message"] for row in rows]


@pytest.fixture
async def reader(database: str, kafka_bootstrap: str) -> AsyncIterator[Reader]:
    async with (
        await open_pool(database, service="rating") as pool,
        open_publisher(kafka_bootstrap, source="test") as publisher,
    ):
        yield Reader(pool, publisher, kafka_bootstrap)


async def test_what_a_database_lost_is_read_again_and_an_operator_is_alarmed(
    reader: Reader,
) -> None:
    await reader.publisher.publish(events(reader.key, range(10)))
    await reader.see(range(10))
    older = await reader.sql(
        "update rating.consumed_offset set next_offset = next_offset - 4"
        " where consumer_group = $1 and partition = any($2) returning topic",
        reader.group,
        list(reader.partitions),
    )
    assert len(older) == 1
    await reader.see(range(6, 10))
    (message,) = await reader.alarms()
    assert "rating came back as it was earlier: 4 records of balance.low.v1" in message
    assert "no longer there" not in message


async def test_a_database_that_was_not_set_back_reads_nothing_twice(reader: Reader) -> None:
    await reader.publisher.publish(events(reader.key, range(3)))
    await reader.see(range(3))
    await reader.publisher.publish(events(reader.key, range(3, 5)))
    await reader.see(range(3, 5))
    assert await reader.alarms() == []


async def test_nothing_is_read_while_the_database_cannot_say_how_far_it_is(
    reader: Reader,
) -> None:
    """Else the records from the committed offset on would hide those before it for ever."""

    class Failing(ConsumedOffsets):
        async def start_points(
            self, states: Mapping[TopicPartition, PartitionState]
        ) -> dict[TopicPartition, int]:
            raise ConnectionError("the database is away")

    await reader.publisher.publish(events(reader.key, range(3)))
    failing = Failing(
        reader.pool, ALARMS, service="rating", group=reader.group, clock=SystemClock()
    )
    with pytest.raises(ConnectionError):
        async with reader.running(failing):
            await until(lambda: reader.seen, timeout_s=5)
    assert reader.seen == []
    await reader.see(range(3))


@pytest.mark.parametrize(
    ("state", "expected", "says"),
    [
        (PartitionState(0, 200, 120), {AT: 100}, "20 records"),
        (PartitionState(110, 200, 120), {AT: 110}, "10 more are no longer there"),
        (PartitionState(0, 200, 100), {}, None),
        (PartitionState(0, 200, 90), {}, None),
        (PartitionState(0, 200, None), {}, None),
        (PartitionState(0, 200, 120, is_saved=False), {}, None),
    ],
)
async def test_where_to_read_from(
    reader: Reader, state: PartitionState, expected: dict[TopicPartition, int], says: str | None
) -> None:
    await reader.offsets.save({AT: 100})
    assert await reader.offsets.start_points({AT: state}) == expected
    assert [says in message for message in await reader.alarms() if says] == [True] * bool(says)


async def test_a_partition_that_was_assigned_and_not_read_is_known_from_then_on(
    reader: Reader,
) -> None:
    assert await reader.offsets.start_points({AT: PartitionState(5, 200, None)}) == {}
    assert await reader.offsets.start_points({AT: PartitionState(5, 200, 20)}) == {AT: 5}


async def test_an_upgrade_goes_on_from_what_was_committed(reader: Reader) -> None:
    assert await reader.offsets.start_points({AT: PartitionState(5, 200, 20)}) == {}
    assert await reader.offsets.start_points({AT: PartitionState(5, 200, 21)}) == {AT: 20}


async def test_what_a_version_without_these_offsets_committed_is_taken_over(
    reader: Reader,
) -> None:
    """A rolling upgrade has both, and one may go back to the version before for a day."""
    await reader.publisher.publish(events(reader.key, range(6)))
    await reader.see(range(6))
    before, reader.seen = reader.offsets, []
    await reader.publisher.publish(events(reader.key, range(6, 9)))
    async with reader.running(former=True):
        await until(lambda: reader.seen == [6, 7, 8], timeout_s=30)
    await reader.publisher.publish(events(reader.key, range(9, 10)))
    await reader.see(range(9, 10))
    assert await reader.alarms() == []
    at = TopicPartition(BALANCE_LOW.name, *reader.partitions)
    held = (await before.start_points({at: PartitionState(0, 10**9, 10**8)}))[at]
    assert held >= 10, "what was committed without them is held, too"


async def test_a_lower_offset_of_a_slower_replica_counts_for_nothing(reader: Reader) -> None:
    await reader.offsets.save({AT: 100})
    await reader.offsets.save({AT: 90})
    assert await reader.offsets.start_points({AT: PartitionState(0, 200, 101)}) == {AT: 100}


async def test_the_offsets_of_a_topic_that_was_made_again_are_forgotten(reader: Reader) -> None:
    await reader.offsets.save({AT: 100})
    assert await reader.offsets.start_points({AT: PartitionState(0, 7, None)}) == {}
    await reader.offsets.save({AT: 7})
    assert await reader.offsets.start_points({AT: PartitionState(0, 200, 9)}) == {AT: 7}
