"""The failure classes: transient errors are retried, rejects dead-lettered, bugs raised."""

import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import asyncpg
import pytest
import stamina
from aiokafka.errors import KafkaConnectionError

from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import Publisher
from ringfence.transient import TRANSIENT_ERRORS, exit_status
from ringfence_contracts.errors import EXIT_TEMPORARY, FuseBlown, Reject, Retry
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outcome, Outgoing, Received, Rejected
from ringfence_contracts.topics import NOTICE_SENT


@dataclass
class Memory:
    """Records what is published, after it has failed `failures` times."""

    failures: int = 0
    published: list[Outgoing] = field(default_factory=list)
    parked: list[Rejected] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    async def publish(self, events: Sequence[Outgoing]) -> None:
        if self.failures:
            self.failures -= 1
            raise Retry("the broker did not take a record")
        self.published += events
        self.order.append("publish")

    async def park(self, rejected: Sequence[Rejected], consumer: str) -> None:
        self.parked += rejected
        self.order.append(f"park {consumer}")


def records(count: int) -> list[Received]:
    return [Received("call.completed.v1", 0, offset, b"k", b"{}") for offset in range(count)]


def event(number: int) -> Outgoing:
    return Outgoing(
        topic=NOTICE_SENT,
        key="acme",
        value=b"{}",
        event_id=derive("test", number),
        time=datetime(2026, 1, 15, tzinfo=UTC),
        source="test",
    )


Handle = Callable[[Sequence[Received]], Awaitable[Outcome]]


def processor(
    handle: Handle, memory: Memory, *, fuse: int = 500, bound_s: float = 20.0
) -> RecordProcessor[Sequence[Received]]:
    publisher = cast(Publisher, memory)
    return RecordProcessor(handle, publisher, consumer="test", retry_bound_s=bound_s, fuse=fuse)


async def rejects_all(batch: Sequence[Received]) -> Outcome:
    return Outcome(reject=[Rejected(received, "no good") for received in batch])


async def takes_all(batch: Sequence[Received]) -> Outcome:
    return Outcome()


@pytest.fixture
def _without_waiting() -> Iterator[None]:
    """Retries without a pause: these tests are not about back-off."""
    with stamina.set_testing(True, attempts=10):
        yield


async def test_rejects_and_events_are_delivered_before_process_returns() -> None:
    memory, batch = Memory(), records(2)

    async def handle(batch: Sequence[Received]) -> Outcome:
        return Outcome(publish=[event(1)], reject=[Rejected(batch[1], "no good")])

    await processor(handle, memory).process(batch)
    assert memory.published == [event(1)]
    assert [(dead.received, dead.reason) for dead in memory.parked] == [(batch[1], "no good")]
    assert memory.order == ["park test", "publish"]


@pytest.mark.parametrize(
    "error",
    [
        Retry("later"),
        ConnectionRefusedError("no"),
        TimeoutError(),
        KafkaConnectionError(),
        asyncpg.DeadlockDetectedError("x"),
        asyncpg.CannotConnectNowError("x"),
        asyncpg.ConnectionDoesNotExistError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.usefixtures("_without_waiting")
async def test_a_transient_error_retries_the_same_batch(error: Exception) -> None:
    seen: list[Sequence[Received]] = []
    batch = records(3)

    async def handle(batch: Sequence[Received]) -> Outcome:
        seen.append(batch)
        if len(seen) < 3:
            raise error
        return Outcome(publish=[event(1)])

    memory = Memory()
    await processor(handle, memory).process(batch)
    assert seen == [batch, batch, batch]
    assert memory.published == [event(1)]


@pytest.mark.usefixtures("_without_waiting")
async def test_a_failed_delivery_is_retried_without_handling_again() -> None:
    memory, handled = Memory(failures=2), 0

    async def handle(batch: Sequence[Received]) -> Outcome:
        nonlocal handled
        handled += 1
        return Outcome(publish=[event(1)])

    await processor(handle, memory).process(records(1))
    assert handled == 1
    assert memory.published == [event(1)]


async def test_retries_are_bounded_and_then_the_error_is_raised() -> None:
    """After a longer time the group would remove the consumer anyway."""
    tries = 0

    async def handle(batch: Sequence[Received]) -> Outcome:
        nonlocal tries
        tries += 1
        raise Retry("the database is away")

    with pytest.raises(Retry, match="the database is away"):
        await processor(handle, Memory(), bound_s=0.05).process(records(1))
    assert tries == 2, "the first wait alone is as long as this bound"


@pytest.mark.parametrize(
    "bug",
    [
        ZeroDivisionError("a bug"),
        KeyError("x"),
        asyncpg.UndefinedTableError("x"),
        asyncpg.DataError("x"),
        Reject("a handler must put this into its outcome"),
    ],
    ids=lambda bug: type(bug).__name__,
)
async def test_any_other_error_is_a_bug_and_raised_at_once(bug: Exception) -> None:
    tries, memory = 0, Memory()

    async def handle(batch: Sequence[Received]) -> Outcome:
        nonlocal tries
        tries += 1
        raise bug

    with pytest.raises(type(bug)):
        await processor(handle, memory).process(records(1))
    assert tries == 1
    assert not isinstance(bug, TRANSIENT_ERRORS)
    assert memory.order == []


async def test_the_fuse_blows_after_many_rejects_and_parks_nothing_of_that_batch() -> None:
    memory = Memory()
    guarded = processor(rejects_all, memory, fuse=5)
    await guarded.process(records(3))
    assert len(memory.parked) == 3
    with pytest.raises(FuseBlown, match=r"\d records in a row were rejected"):
        await guarded.process(records(3))
    assert len(memory.parked) == 3


async def test_an_accepted_record_resets_the_count_of_rejects() -> None:
    memory = Memory()

    async def all_but_the_last(batch: Sequence[Received]) -> Outcome:
        return Outcome(reject=[Rejected(received, "no good") for received in batch[:-1]])

    guarded = processor(all_but_the_last, memory, fuse=5)
    for _ in range(10):
        await guarded.process(records(5))
    assert len(memory.parked) == 40


async def test_too_many_rejects_blow_the_fuse_anywhere_in_a_batch() -> None:
    async def all_but_the_last(batch: Sequence[Received]) -> Outcome:
        return Outcome(reject=[Rejected(received, "no good") for received in batch[:-1]])

    memory = Memory()
    with pytest.raises(FuseBlown):
        await processor(all_but_the_last, memory, fuse=5).process(records(6))
    assert memory.parked == []


@pytest.mark.usefixtures("_without_waiting")
async def test_retries_do_not_count_towards_the_fuse() -> None:
    """A rejected record counts once, however often its delivery is retried."""
    memory = Memory(failures=4)
    await processor(rejects_all, memory, fuse=3).process(records(2))
    assert memory.failures == 0


async def test_equal_records_are_counted_separately() -> None:
    twice = Received("call.completed.v1", 0, 1, b"k", b"{}")
    with pytest.raises(FuseBlown):
        await processor(rejects_all, Memory(), fuse=2).process([twice, twice])


async def test_an_empty_outcome_is_accepted() -> None:
    memory = Memory()
    await processor(takes_all, memory).process(records(2))
    assert memory.published == []
    assert memory.parked == []


@pytest.mark.parametrize(
    "error", [ssl.SSLCertVerificationError(), asyncpg.InvalidPasswordError()], ids=type
)
def test_a_password_or_certificate_that_was_replaced_is_transient(error: Exception) -> None:
    assert exit_status(error) == EXIT_TEMPORARY
