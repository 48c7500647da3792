"""Batches in flight: steps overlap and keep their order; after a failure no later batch goes on."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
import stamina

from ringfence.kafka.failures.crash_ranges import BatchPart
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
class FakeStores:
    """A database and a broker that record steps, and block or fail as the test sets them.

    A batch is known by the offset of its first record.
    """

    done: list[str] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    broker_answers: asyncio.Event = field(default_factory=asyncio.Event)

    def pipeline(self) -> BatchPipeline[int]:
        """A pipeline to this database and broker."""
        processor = RecordProcessor(
            self.handle, cast(Publisher, self), consumer="test", read=self.read
        )
        return BatchPipeline(processor, group="test")

    async def start(self, pipeline: BatchPipeline[int], number: int) -> None:
        """Start batch `number`, which has two records."""
        batch = [Received("t", 0, number, b"k", b""), Received("t", 0, number, b"k", b"")]

        async def commit() -> None:
            self.note("commit", number)

        await pipeline.start(BatchPart(batch), commit)

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
        """Record a step, or raise the error that is set for it, once."""
        step = f"{what} {number}"
        if failure := self.fails.pop(step, None):
            raise failure
        self.done.append(step)

    def steps(self, what: str) -> list[int]:
        """The batches that had this step, in its order."""
        return [int(step.split()[1]) for step in self.done if step.startswith(what)]


async def test_a_batch_is_handled_while_the_one_before_is_published() -> None:
    stores = FakeStores()
    pipeline = stores.pipeline()
    await stores.start(pipeline, 0)
    await stores.start(pipeline, 1)
    await until(lambda: stores.steps("handle") == [0, 1])
    assert stores.steps("publish") == stores.steps("commit") == []
    stores.broker_answers.set()
    await pipeline.drain()
    assert stores.steps("publish") == stores.steps("commit") == [0, 1]
    assert stores.done.index("commit 0") < stores.done.index("publish 1")


async def test_a_batch_is_decoded_before_the_one_before_is_handled() -> None:
    stores = FakeStores()
    pipeline = stores.pipeline()
    await stores.start(pipeline, 0)
    await stores.start(pipeline, 1)
    assert stores.done == ["read 0", "read 1"]
    await pipeline.cancel()


async def test_no_more_than_the_limit_are_in_flight() -> None:
    stores = FakeStores()
    pipeline = stores.pipeline()
    for number in range(MAX_IN_FLIGHT):
        await pipeline.wait_for_room()
        await stores.start(pipeline, number)
    waiting = asyncio.create_task(pipeline.wait_for_room())
    await until(lambda: len(stores.steps("handle")) == MAX_IN_FLIGHT)
    assert (pipeline.in_flight, pipeline.take_processed(), waiting.done()) == (
        2 * MAX_IN_FLIGHT,
        0,
        False,
    )
    stores.broker_answers.set()
    await waiting
    await pipeline.drain()
    assert (pipeline.in_flight, pipeline.take_processed(), pipeline.take_processed()) == (
        0,
        2 * MAX_IN_FLIGHT,
        0,
    )


async def test_while_a_dependency_fails_later_batches_wait() -> None:
    stores = FakeStores(fails={"handle 0": Retry("away"), "publish 0": Retry("and the broker")})
    stores.broker_answers.set()
    pipeline = stores.pipeline()
    for number in range(3):
        await stores.start(pipeline, number)
    await pipeline.drain()
    assert stores.steps("handle") == stores.steps("publish") == stores.steps("commit") == [0, 1, 2]


async def test_a_failed_batch_stops_later_ones_and_no_earlier_one() -> None:
    stores = FakeStores(fails={"handle 1": KeyError("a bug")})
    pipeline = stores.pipeline()
    for number in range(3):
        await stores.start(pipeline, number)
    stores.broker_answers.set()
    with pytest.raises(KeyError, match="a bug"):
        await pipeline.drain()
    await pipeline.cancel()
    assert (stores.steps("handle"), stores.steps("publish"), stores.steps("commit")) == (
        [0],
        [0],
        [0],
    )


@pytest.mark.parametrize("step", ["publish 0", "commit 0"])
async def test_a_batch_handled_after_a_failed_one_is_not_published(step: str) -> None:
    stores = FakeStores(fails={step: KeyError("a bug")})
    pipeline = stores.pipeline()
    for number in range(3):
        await stores.start(pipeline, number)
    await until(lambda: stores.steps("handle") == [0, 1, 2])
    stores.broker_answers.set()
    with pytest.raises(KeyError, match="a bug"):
        await pipeline.wait_for_room()
    await pipeline.cancel()
    assert 1 not in stores.steps("publish")
    assert stores.steps("commit") == []


async def test_a_failure_is_raised_when_room_is_awaited() -> None:
    """Also by a pipeline that is not full."""
    stores = FakeStores(fails={"handle 0": KeyError("a bug")})
    pipeline = stores.pipeline()
    await stores.start(pipeline, 0)

    async def seen() -> bool:
        try:
            await pipeline.wait_for_room()
        except KeyError:
            return True
        return False

    await until(seen)
