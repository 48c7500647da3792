"""Batches in a line: steps overlap, their order holds, and behind a failure nothing goes on."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
import stamina

from ringfence.kafka.line import IN_HAND, Line
from ringfence.kafka.publisher import Publisher
from ringfence.kafka.shell import Shell
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

    def line(self) -> Line[int]:
        """A line through this world."""
        shell = Shell(self.handle, cast(Publisher, self), consumer="test", read=self.read)
        return Line(shell, group="test")

    def begin(self, line: Line[int], number: int) -> None:
        """Put batch `number`, of two records, into the line."""
        batch = [Received("t", 0, number, b"k", b""), Received("t", 0, number, b"k", b"")]

        async def commit() -> None:
            self.note("commit", number)

        line.begin(batch, commit)

    def read(self, batch: Sequence[Received]) -> int:
        self.note("read", batch[0].offset)
        return batch[0].offset

    async def handle(self, number: int) -> Outcome:
        await asyncio.sleep(0)
        self.note("handle", number)
        return Outcome(publish=cast(list[Outgoing], [number]))

    async def publish(self, events: Sequence[Outgoing]) -> None:
        await self.broker_answers.wait()
        self.note("tell", cast(int, events[0]))

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
    line = world.line()
    world.begin(line, 0)
    world.begin(line, 1)
    await until(lambda: world.steps("handle") == [0, 1])
    assert world.steps("tell") == world.steps("commit") == []
    world.broker_answers.set()
    await line.empty()
    assert world.steps("tell") == world.steps("commit") == [0, 1]
    assert world.done.index("commit 0") < world.done.index("tell 1")


async def test_it_is_read_before_the_one_before_it_is_handled() -> None:
    world = World()
    line = world.line()
    world.begin(line, 0)
    world.begin(line, 1)
    assert world.done == ["read 0", "read 1"]
    await line.give_up()


async def test_so_many_are_in_hand_and_no_more() -> None:
    world = World()
    line = world.line()
    for number in range(IN_HAND):
        await line.room_for_one()
        world.begin(line, number)
    waiting = asyncio.create_task(line.room_for_one())
    await until(lambda: len(world.steps("handle")) == IN_HAND)
    assert (line.in_hand, line.settled(), waiting.done()) == (2 * IN_HAND, 0, False)
    world.broker_answers.set()
    await waiting
    await line.empty()
    assert (line.in_hand, line.settled(), line.settled()) == (0, 2 * IN_HAND, 0)


async def test_behind_an_unwell_world_all_wait_their_turn() -> None:
    world = World(fails={"handle 0": Retry("away"), "tell 0": Retry("and the broker")})
    world.broker_answers.set()
    line = world.line()
    for number in range(3):
        world.begin(line, number)
    await line.empty()
    assert world.steps("handle") == world.steps("tell") == world.steps("commit") == [0, 1, 2]


async def test_a_batch_that_fails_stops_all_behind_it_and_none_before() -> None:
    world = World(fails={"handle 1": KeyError("a bug")})
    line = world.line()
    for number in range(3):
        world.begin(line, number)
    world.broker_answers.set()
    with pytest.raises(KeyError, match="a bug"):
        await line.empty()
    await line.give_up()
    assert (world.steps("handle"), world.steps("tell"), world.steps("commit")) == ([0], [0], [0])


@pytest.mark.parametrize("step", ["tell 0", "commit 0"])
async def test_what_was_handled_behind_a_failure_is_not_told(step: str) -> None:
    world = World(fails={step: KeyError("a bug")})
    line = world.line()
    for number in range(3):
        world.begin(line, number)
    await until(lambda: world.steps("handle") == [0, 1, 2])
    world.broker_answers.set()
    with pytest.raises(KeyError, match="a bug"):
        await line.room_for_one()
    await line.give_up()
    assert 1 not in world.steps("tell")
    assert world.steps("commit") == []


async def test_a_failure_is_seen_when_the_next_is_asked_for() -> None:
    """A line that is not full says so too."""
    world = World(fails={"handle 0": KeyError("a bug")})
    line = world.line()
    world.begin(line, 0)

    async def seen() -> bool:
        try:
            await line.room_for_one()
        except KeyError:
            return True
        return False

    await until(seen)
