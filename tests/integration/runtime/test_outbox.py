"""The transactional outbox: committed events are published, in order, until they are delivered."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest

from ringfence.kafka.publisher import Publisher
from ringfence.observe.health import Progress
from ringfence.postgres.outbox import OutboxRelay, enqueue
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.errors import Retry
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import NOTICE_SENT
from ringfence_testing.wait import until

SCHEMA = "notifier"


@dataclass
class Memory:
    """Records what is published; fails or blocks while the test sets it so."""

    refuses: Exception | None = None
    holds: asyncio.Event | None = None
    published: list[Outgoing] = field(default_factory=list)
    entered: int = 0

    async def publish(self, events: Sequence[Outgoing]) -> None:
        self.entered += 1
        if self.holds is not None:
            await self.holds.wait()
        if self.refuses is not None:
            raise self.refuses
        self.published += events


def event(number: int) -> Outgoing:
    return Outgoing(
        topic=NOTICE_SENT,
        key=f"acme-{number % 3}",
        value=b'{"n": %d, "raw": "\xc3\xa9"}' % number,
        event_id=derive("test", number),
        time=datetime(2026, 1, 15, 12, tzinfo=timezone(timedelta(hours=-5))),
        source="notifier",
        subject=f"message-{number}",
        correlation_id="the-first" if number % 2 else "",
    )


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """Connections in the role of a service that has an outbox."""
    pool = await open_pool(database, service=SCHEMA, size=6)
    yield pool
    await pool.close()


def relay(pool: Pool, memory: Memory) -> OutboxRelay:
    publisher = cast(Publisher, memory)
    return OutboxRelay(pool, publisher, schema=SCHEMA, progress=Progress("outbox"))


async def write(pool: Pool, *events: Outgoing) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await enqueue(connection, SCHEMA, events)


async def waiting(pool: Pool) -> int:
    return int(await pool.fetchval("select count(*) from notifier.outbox"))


async def test_events_are_published_unchanged_and_in_order(pool: Pool) -> None:
    events = [event(number) for number in range(10)]
    await write(pool, *events[:4])
    await write(pool, *events[4:])
    memory = Memory()
    assert await relay(pool, memory).relay_once() == 10
    assert memory.published == events
    assert memory.published[0].time.astimezone(UTC) == datetime(2026, 1, 15, 17, tzinfo=UTC)
    assert await waiting(pool) == 0
    assert await relay(pool, memory).relay_once() == 0


async def test_a_rolled_back_event_is_not_published(pool: Pool) -> None:
    async def fail() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await enqueue(connection, SCHEMA, [event(1)])
            raise ZeroDivisionError("the effect failed")

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await waiting(pool) == 0


@pytest.mark.parametrize("error", [Retry("not taken"), ConnectionRefusedError("gone")])
async def test_undelivered_events_stay_and_are_published_again_with_the_same_ids(
    pool: Pool, error: Exception
) -> None:
    await write(pool, event(1), event(2))
    memory = Memory(refuses=error)
    with pytest.raises(Retry):
        await relay(pool, memory).relay_once()
    assert await waiting(pool) == 2
    memory.refuses = None
    assert await relay(pool, memory).relay_once() == 2
    assert memory.published == [event(1), event(2)]


async def test_only_one_relay_works_at_a_time_so_that_a_key_keeps_its_order(pool: Pool) -> None:
    await write(pool, event(1))
    first, second = Memory(holds=asyncio.Event()), Memory()
    work = asyncio.create_task(relay(pool, first).relay_once())
    await until(lambda: first.entered, what="the first relay publishes")
    assert await relay(pool, second).relay_once() == 0
    assert first.holds is not None
    first.holds.set()
    assert await work == 1
    assert second.published == []


async def test_events_written_during_a_relay_wait_for_the_next_turn(
    pool: Pool,
) -> None:
    await write(pool, event(1))
    memory = Memory(holds=asyncio.Event())
    work = asyncio.create_task(relay(pool, memory).relay_once())
    await until(lambda: memory.entered, what="the relay publishes")
    await write(pool, event(2))
    assert memory.holds is not None
    memory.holds.set()
    assert await work == 1
    assert await waiting(pool) == 1
    assert await relay(pool, memory).relay_once() == 1
    assert memory.published == [event(1), event(2)]


async def test_the_loop_retries_while_the_broker_fails_and_ends_at_stop(pool: Pool) -> None:
    stop, memory = asyncio.Event(), Memory(refuses=Retry("away"))
    progress = Progress("outbox")
    publisher = cast(Publisher, memory)
    loop = OutboxRelay(pool, publisher, schema=SCHEMA, progress=progress)
    await write(pool, *(event(number) for number in range(1200)))
    running = asyncio.create_task(loop.run(stop))
    await until(lambda: memory.entered >= 3, what="the relay tries again and again")
    memory.refuses = None
    await until(lambda: len(memory.published) == 1200, what="all are delivered")
    stop.set()
    await asyncio.wait_for(running, 40)
    assert memory.published == [event(number) for number in range(1200)]
    assert progress.read == 1200
    assert progress.problem() is None


async def test_a_bug_ends_the_loop(pool: Pool) -> None:
    await write(pool, event(1))
    loop = relay(pool, Memory(refuses=ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        await loop.run(asyncio.Event())
    assert await waiting(pool) == 1
