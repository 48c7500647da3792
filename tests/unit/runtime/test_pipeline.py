"""Batches in a line: steps overlap, their order holds, and behind a failure nothing goes on."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
import stamina

from ringfence.kafka.pipeline import MAX_IN_FLIGHT, BatchPipeline
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import Publisher
from ringfence_contracts.errors import Retry
from ringfence_contracts.records import Outcome, Outgoing, Received, Rejected
from ringfence_testing.wait import until

pytestmark = pytest.mark.usefixtures("_tries_again_at_once")


@pytest.fixture
def _tries_again_at_once() -> Iterator[None]:
    with stamina.set_testing(True, attempts=10):
        yield


@dataclass
class World:
    """A database and a broker that note what was done in them, and hold or fail as they are told.

    A batch is known by the offset of its first record.
    """

    done: list[str] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    broker_answers: asyncio.Event = field(default_factory=asyncio.Event)

    def pipeline(self) -> BatchPipeline[int]:
        """A line through this world."""
        processor = RecordProcessor(
            self.handle, cast(Publisher, self), consumer="test", read=self.read
        )
        return BatchPipeline(processor, group="test")

    def start(self, pipeline: BatchPipeline[int], number: int) -> None:
        """Put batch `number`, of two records, into the line."""
        batch = [Received("t", 0, number, b"k", b""), Received("t", 0, number, b"k", b"")]

        async def commit() -> None:
            self.note("commit", number)

        pipeline.start(batch, commit)

    def read(self, batch: Sequence[Received]) -> int:
        self.note("read", batch[0].offset)
        return batch[0].offset

    async def handle(self, number: int) -> Outcome:
        await asyncio.sleep(0)
        self.note("handle", number)
        return Outcome(publish=cast(list[Outgoing], [number]))

    async def publish(self, events: Sequence[Outgoing]) -> None:
        await self.broker_answers.wait()
        self.note("publish", cast(int, events[0]))

    async def park(self, rejected: Sequence[Rejected], consumer: str) -> None:
        assert not rejected

    def note(self, what: str, number: int) -> None:
        """Write down what is done, or fail once as was told."""
        step = f"{what} {number}"
        if failure := self.fails.pop(step, None):
            raise failure
        self.done.append(step)

    def steps(self, what: str) -> list[int]:
        """The batches of which this was done, in that order."""
        return [int(step.split()[1]) for step in self.done if step.startswith(what)]


async def test_the_next_is_handled_while_one_is_told() -> None:
    world = World()
    pipeline = world.pipeline()
    world.start(pipeline, 0)
    world.start(pipeline, 1)
    await until(lambda: world.steps("handle") == [0, 1])
    assert world.steps("publish") == world.steps("commit") == []
    world.broker_answers.set()
    await pipeline.drain()
    assert world.steps("publish") == world.steps("commit") == [0, 1]
    assert world.done.index("commit 0") < world.done.index("publish 1")


async def test_it_is_read_before_the_one_before_it_is_handled() -> None:
    world = World()
    pipeline = world.pipeline()
    world.start(pipeline, 0)
    world.start(pipeline, 1)
    assert world.done == ["read 0", "read 1"]
    await pipeline.cancel()


async def test_so_many_are_in_hand_and_no_more() -> None:
    world = World()
    pipeline = world.pipeline()
    for number in range(MAX_IN_FLIGHT):
        await pipeline.wait_for_room()
        world.start(pipeline, number)
    waiting = asyncio.create_task(pipeline.wait_for_room())
    await until(lambda: len(world.steps("handle")) == MAX_IN_FLIGHT)
    assert (pipeline.in_flight, pipeline.take_processed(), waiting.done()) == (
        2 * MAX_IN_FLIGHT,
        0,
        False,
    )
    world.broker_answers.set()
    await waiting
    await pipeline.drain()
    assert (pipeline.in_flight, pipeline.take_processed(), pipeline.take_processed()) == (
        0,
        2 * MAX_IN_FLIGHT,
        0,
    )


async def test_behind_an_unwell_world_all_wait_their_turn() -> None:
    world = World(fails={"handle 0": Retry("away"), "publish 0": Retry("and the broker")})
    world.broker_answers.set()
    pipeline = world.pipeline()
    for number in range(3):
        world.start(pipeline, number)
    await pipeline.drain()
    assert world.steps("handle") == world.steps("publish") == world.steps("commit") == [0, 1, 2]


async def test_a_batch_that_fails_stops_all_behind_it_and_none_before() -> None:
    world = World(fails={"handle 1": KeyError("a bug")})
    pipeline = world.pipeline()
    for number in range(3):
        world.start(pipeline, number)
    world.broker_answers.set()
    with pytest.raises(KeyError, match="a bug"):
        await pipeline.drain()
    await pipeline.cancel()
    assert (world.steps("handle"), world.steps("publish"), world.steps("commit")) == ([0], [0], [0])


@pytest.mark.parametrize("step", ["publish 0", "commit 0"])
async def test_what_was_handled_behind_a_failure_is_not_told(step: str) -> None:
    world = World(fails={step: KeyError("a bug")})
    pipeline = world.pipeline()
    for number in range(3):
        world.start(pipeline, number)
    await until(lambda: world.steps("handle") == [0, 1, 2])
    world.broker_answers.set()
    with pytest.raises(KeyError, match="a bug"):
        await pipeline.wait_for_room()
    await pipeline.cancel()
    assert 1 not in world.steps("publish")
    assert world.steps("commit") == []


async def test_a_failure_is_seen_when_the_next_is_asked_for() -> None:
    """A line that is not full says so too."""
    world = World(fails={"handle 0": KeyError("a bug")})
    pipeline = world.pipeline()
    world.start(pipeline, 0)

    async def seen() -> bool:
        try:
            await pipeline.wait_for_room()
        except KeyError:
            return True
        return False

    await until(seen)
