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

from ringfence.kafka.failures.crash_ranges import CrashRange, Place, narrowed
from ringfence.kafka.failures.keeper import FailureKeeper
from ringfence.kafka.failures.reject_limit import RejectLimit
from ringfence.kafka.failures.store import FailureStore
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import Publisher
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS, exit_status
from ringfence_contracts.errors import EXIT_TEMPORARY, Reject, Retry
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
    handle: Handle,
    memory: Memory,
    *,
    failures: FailureKeeper | None = None,
    bound_s: float = 20.0,
) -> RecordProcessor[Sequence[Received]]:
    publisher = cast(Publisher, memory)
    return RecordProcessor(
        handle, publisher, consumer="test", retry_bound_s=bound_s, failures=failures
    )


PLACE = ("call.completed.v1", 0)


class FailureMemory:
    """The tables of failed records, in memory."""

    def __init__(self, over: Sequence[str] = ()) -> None:
        self.over = list(over)
        self.saved: list[Rejected] = []
        self.ranges: dict[Place, CrashRange] = {}
        self.alarms: list[int] = []

    async def sources_over(self) -> list[str]:
        return self.over

    async def save_rejected(self, rejected: Sequence[Rejected], *_: object) -> None:
        self.saved += rejected

    async def crashes(self) -> dict[Place, CrashRange]:
        return dict(self.ranges)

    async def add_crash(
        self,
        offsets: dict[Place, tuple[int, int]],
        now: datetime,
        *,
        alone: bool,
        reason: str,
        traceback: str,
    ) -> None:
        for place, (first, last) in offsets.items():
            known = narrowed(self.ranges.get(place), first, last, alone=alone)
            self.ranges[place] = (
                known._replace(reason=reason, traceback=traceback) if alone else known
            )

    async def delete_crash(self, place: Place, up_to: int) -> None:
        self.ranges.pop(place)

    async def raise_dead(self, received: Received, *_: object) -> None:
        self.alarms.append(received.offset)


def keeper(store: FailureMemory, limit: int = 500) -> FailureKeeper:
    """What a new process knows: nothing but what the store has."""
    return FailureKeeper(
        cast(FailureStore, store), progress=Progress("failures"), limit=RejectLimit(limit)
    )


def record(offset: int, key: bytes) -> Received:
    return Received("call.completed.v1", 0, offset, key, b"{}")


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


async def test_any_number_of_rejects_stops_nothing() -> None:
    memory = Memory()
    await processor(rejects_all, memory).process(records(5000))
    assert len(memory.parked) == 5000


async def test_beyond_the_limit_only_the_bad_records_of_that_source_go_to_the_table() -> None:
    """Events of the batch are published all the same, and other sources keep their dead letters."""
    memory, store = Memory(), FailureMemory()
    bad = [record(n, b"pbx-1:north") for n in range(8)]
    good, other = record(8, b"pbx-1:north"), record(9, b"pbx-1:south")

    async def handle(batch: Sequence[Received]) -> Outcome:
        rejected = [Rejected(r, "no good") for r in batch if r is not good]
        return Outcome(publish=[event(1)] if good in batch else [], reject=rejected)

    guarded = processor(handle, memory, failures=keeper(store, limit=5))
    await guarded.process([*bad, good, other])
    assert [dead.received for dead in memory.parked] == [*bad[:5], other]
    assert [dead.received for dead in store.saved] == bad[5:]
    assert memory.published == [event(1)]
    await guarded.process([record(10, b"pbx-1:north")])
    assert len(store.saved) == 4


@pytest.mark.usefixtures("_without_waiting")
async def test_a_reject_counts_once_however_often_its_delivery_is_retried() -> None:
    memory, store = Memory(failures=4), FailureMemory()
    await processor(rejects_all, memory, failures=keeper(store, limit=3)).process(records(3))
    assert (memory.failures, store.saved) == (0, [])


async def test_a_source_over_the_limit_stays_so_over_a_restart() -> None:
    memory, store = Memory(), FailureMemory(over=["k"])
    await processor(rejects_all, memory, failures=keeper(store)).process(records(1))
    assert (len(memory.parked), len(store.saved)) == (0, 1)


async def test_a_bug_is_stored_with_the_offsets_of_its_batch_and_raised() -> None:
    memory, store = Memory(), FailureMemory()

    async def handle(batch: Sequence[Received]) -> Outcome:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await processor(handle, memory, failures=keeper(store)).process(records(3))
    assert store.ranges == {PLACE: CrashRange(0, 2, 1, alone=False)}


@pytest.mark.usefixtures("_without_waiting")
async def test_a_failing_dependency_is_no_crash() -> None:
    memory, store = Memory(), FailureMemory()

    async def handle(batch: Sequence[Received]) -> Outcome:
        raise Retry("the database is away")

    with pytest.raises(Retry):
        await processor(handle, memory, failures=keeper(store)).process(records(1))
    assert store.ranges == {}


async def test_three_ends_find_the_record_that_crashes_and_the_rest_is_processed() -> None:
    """Each turn of the loop is a process: it ends by the bug, and the same records come again."""
    memory, store, handled = Memory(), FailureMemory(), list[int]()

    async def handle(batch: Sequence[Received]) -> Outcome:
        if any(received.offset == 3 for received in batch):
            raise KeyError("a bug")
        handled.extend(received.offset for received in batch)
        return Outcome()

    ends, batch = 0, records(6)
    while batch:
        guarded = processor(handle, memory, failures=keeper(store))
        try:
            for part in await guarded.divide(batch):
                outcome = await guarded.outcome_of(part)
                await guarded.publish(part.records, outcome)
                await guarded.committed(part.records)
                batch = batch[len(part.records) :]
        except KeyError as error:
            ends += 1
            await guarded.crashed(part.records, error)
    assert ends == 3
    assert handled == [0, 1, 2, 4, 5]
    assert [dead.received.offset for dead in memory.parked] == [3]
    assert "3 times" in memory.parked[0].reason
    assert "KeyError" in memory.parked[0].traceback
    assert store.alarms == [3]
    assert store.ranges == {}


async def test_a_crash_whose_storing_fails_is_still_raised() -> None:
    class Broken(FailureMemory):
        async def add_crash(self, *_: object, **__: object) -> None:
            raise OSError("the database is away")

    async def handle(batch: Sequence[Received]) -> Outcome:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await processor(handle, Memory(), failures=keeper(Broken())).process(records(1))


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
