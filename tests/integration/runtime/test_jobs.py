"""Jobs: stored once, carried out by one worker, taken over from a killed one, never in a circle."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from ringfence.clock import Clock, SystemClock
from ringfence.observe.health import Progress
from ringfence.postgres.job_loop import (
    KEPT,
    MAX_ATTEMPTS,
    RETRIED_FOR,
    JobHandler,
    ReportProgress,
    run_jobs,
)
from ringfence.postgres.jobs import Job, JobEnding, JobIntake, JobProgress, JobStore
from ringfence.postgres.leases import LEASE
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.errors import BadInput, Retry
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing, Received
from ringfence_contracts.topics import OPERATOR_REQUESTED
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import from_outgoing
from ringfence_testing.wait import until

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, service="rating")
    yield pool
    await pool.close()


def request(command: str = "count", *, service: str = "rating", **fields: Any) -> OperatorRequested:
    given = {
        "request_id": uuid4(),
        "service": service,
        "command": command,
        "arguments": {"up_to": "3"},
        "requested_by": "jane",
        "reason": "to know",
        "requested_at": NOW,
    }
    return OperatorRequested.model_validate(given | fields)


def record(event: OperatorRequested) -> Received:
    return from_outgoing(
        Outgoing(
            topic=OPERATOR_REQUESTED,
            key=event.service,
            value=event.to_json(),
            event_id=derive("test", event.request_id),
            time=event.requested_at,
            source="accounts",
        )
    )


def intake(pool: Pool) -> JobIntake:
    store = JobStore(pool, "rating")
    return JobIntake(store, service="rating", commands=["count", "fall"], clock=FixedClock(NOW))


async def ask(pool: Pool, command: str = "count", **fields: Any) -> UUID:
    """Store a request, as the consumer does; its id."""
    event = request(command, **fields)
    await intake(pool).handle([record(event)])
    return event.request_id


async def shown(pool: Pool, request_id: UUID) -> asyncpg.Record:
    """The job as report.job shows it."""
    row = await pool.fetchrow("select * from report.job where request_id = $1", request_id)
    assert row is not None
    return row


async def state(pool: Pool, request_id: UUID) -> str:
    return str((await shown(pool, request_id))["state"])


async def finished(pool: Pool, request_id: UUID) -> asyncpg.Record:
    """The job when it has finished."""

    async def has_finished() -> bool:
        return (await shown(pool, request_id))["finished_at"] is not None

    await until(has_finished)
    return await shown(pool, request_id)


@dataclass
class Counter:
    """A handler that counts, and can be held."""

    held: asyncio.Event | None = None
    raises: list[Exception] = field(default_factory=list)
    begun: list[Job] = field(default_factory=list)
    ended: int = 0

    async def __call__(self, job: Job, report_progress: ReportProgress) -> Mapping[str, Any]:
        self.begun.append(job)
        report_progress("counting", 1, int(job.arguments["up_to"]))
        if self.held is not None:
            await self.held.wait()
        if self.raises:
            raise self.raises.pop(0)
        self.ended += 1
        return {"counted": int(job.arguments["up_to"])}


@asynccontextmanager
async def worker(
    pool: Pool, handler: JobHandler, clock: Clock | None = None
) -> AsyncIterator[asyncio.Event]:
    """A worker that carries out `count`; the event stops it."""
    stop = asyncio.Event()
    running = asyncio.create_task(
        run_jobs(
            stop,
            JobStore(pool, "rating"),
            {"count": handler},
            clock=clock or SystemClock(),
            progress=Progress("jobs"),
        )
    )
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await running


async def test_a_request_is_carried_out_once_however_often_it_is_delivered(pool: Pool) -> None:
    handler, event = Counter(), request()
    await intake(pool).handle([record(event), record(event)])
    async with worker(pool, handler):
        job = await finished(pool, event.request_id)
        await intake(pool).handle([record(event)])
        other = await ask(pool)
        await finished(pool, other)
    assert (job["service"], job["state"], job["result"]) == ("rating", "done", {"counted": 3})
    assert (job["requested_by"], job["reason"], job["attempts"]) == ("jane", "to know", 1)
    assert [each.request_id for each in handler.begun] == [event.request_id, other]


async def test_a_job_shows_how_far_it_is_while_it_runs(pool: Pool) -> None:
    handler = Counter(held=asyncio.Event())
    job_id = await ask(pool)
    async with worker(pool, handler):

        async def shows_progress() -> bool:
            return bool((await shown(pool, job_id))["progress"] == "counting")

        await until(shows_progress)
        running = await shown(pool, job_id)
        assert (running["state"], running["done"], running["total"]) == ("running", 1, 3)
        assert handler.held is not None
        handler.held.set()
        assert (await finished(pool, job_id))["state"] == "done"


async def test_a_refusal_is_answered_in_its_words(pool: Pool) -> None:
    handler = Counter(raises=[BadInput("up_to", "3", "a number below 3")])
    job_id = await ask(pool)
    async with worker(pool, handler):
        job = await finished(pool, job_id)
    assert (job["state"], job["result"]) == ("refused", None)
    assert job["message"] == "up_to: got '3', expected a number below 3"


async def test_an_unknown_command_is_refused_and_another_service_s_is_ignored(pool: Pool) -> None:
    unknown, foreign = request("paint"), request(service="suspender")
    outcome = await intake(pool).handle([record(unknown), record(foreign)])
    assert outcome.reject == []
    job = await shown(pool, unknown.request_id)
    assert (job["state"], job["message"]) == (
        "refused",
        "command: got paint, expected one of count, fall",
    )
    found = await pool.fetchval(
        "select count(*) from rating.job where request_id = $1", foreign.request_id
    )
    assert found == 0


async def test_a_record_that_cannot_be_read_is_rejected_and_the_rest_is_stored(pool: Pool) -> None:
    event = request()
    broken = record(request())._replace(value=b"{")
    outcome = await intake(pool).handle([broken, record(event)])
    assert [each.received for each in outcome.reject] == [broken]
    assert await state(pool, event.request_id) == "waiting"


async def test_the_job_of_a_killed_worker_is_taken_over_when_its_lease_ends(pool: Pool) -> None:
    job_id = await ask(pool)
    store = JobStore(pool, "rating")
    killed = await store.take(NOW, NOW + LEASE)
    assert killed is not None
    assert await store.take(NOW + LEASE - timedelta(seconds=1), NOW + LEASE) is None
    handler = Counter()
    async with worker(pool, handler, FixedClock(NOW + LEASE)):
        job = await finished(pool, job_id)
    assert (job["state"], job["attempts"]) == ("done", 2)
    assert handler.begun[0].started_at == killed.started_at
    await store.renew(killed, NOW, JobProgress("late"))
    await store.finish(killed, JobEnding("failed", "late"), NOW)
    assert (await shown(pool, job_id))["state"] == "done"


async def test_a_long_job_keeps_its_lease(pool: Pool) -> None:
    handler = Counter(held=asyncio.Event())
    job_id = await ask(pool)
    async with worker(pool, handler):

        async def is_renewed() -> bool:
            job = await shown(pool, job_id)
            return bool(job["started_at"] and job["leased_until"] > job["started_at"] + LEASE)

        await until(is_renewed)
        assert handler.held is not None
        handler.held.set()
        await finished(pool, job_id)


async def test_a_stop_puts_the_job_back_for_the_next_worker(pool: Pool) -> None:
    handler = Counter(held=asyncio.Event())
    job_id = await ask(pool)
    async with worker(pool, handler):

        async def is_begun() -> bool:
            return bool(handler.begun)

        await until(is_begun)
    assert await state(pool, job_id) == "waiting"
    handler.held = None
    async with worker(pool, handler):
        job = await finished(pool, job_id)
    assert (job["state"], job["attempts"], handler.ended) == ("done", 1, 1)


async def test_a_bug_ends_the_worker_and_the_third_one_ends_the_job(pool: Pool) -> None:
    handler = Counter(raises=[KeyError("no such column")] * 3)
    job_id = await ask(pool)
    clock = FixedClock(NOW)
    for _ in range(MAX_ATTEMPTS - 1):
        with pytest.raises(KeyError):
            async with asyncio.timeout(20):
                await run_jobs(
                    asyncio.Event(),
                    JobStore(pool, "rating"),
                    {"count": handler},
                    clock=clock,
                    progress=Progress("jobs"),
                )
        clock.move(seconds=LEASE.total_seconds())
    async with worker(pool, handler, clock):
        job = await finished(pool, job_id)
    assert job["state"] == "failed"
    assert job["message"] == "a bug: KeyError; the service's log has it"


async def test_a_job_that_kills_its_worker_is_not_begun_a_fourth_time(pool: Pool) -> None:
    job_id = await ask(pool)
    store = JobStore(pool, "rating")
    for number in range(MAX_ATTEMPTS):
        assert await store.take(NOW + number * LEASE, NOW + (number + 1) * LEASE)
    handler = Counter()
    async with worker(pool, handler, FixedClock(NOW + MAX_ATTEMPTS * LEASE)):
        job = await finished(pool, job_id)
    assert (job["state"], handler.begun) == ("failed", [])
    assert job["message"].startswith("it was begun 3 times")


async def test_a_job_waits_while_a_dependency_fails_but_not_for_ever(pool: Pool) -> None:
    handler = Counter(raises=[Retry("no answer")] * 2)
    clock = FixedClock(NOW)
    job_id = await ask(pool)
    async with worker(pool, handler, clock):

        async def was_put_back() -> bool:
            return bool(handler.begun) and await state(pool, job_id) == "waiting"

        await until(was_put_back)
        assert (await shown(pool, job_id))["attempts"] == 0
        clock.set(NOW + RETRIED_FOR + timedelta(seconds=1))
        job = await finished(pool, job_id)
    assert job["state"] == "failed"
    assert "did not answer in time for 10 minutes" in job["message"]


async def test_a_finished_job_answers_its_command(pool: Pool) -> None:
    async def answer(request_id: UUID) -> tuple[str, str] | None:
        row = await pool.fetchrow(
            "select state, answer from report.command where request_id = $1", request_id
        )
        return None if row is None else (row["state"], row["answer"])

    done, unknown = await ask(pool), await ask(pool, "paint")
    assert await answer(done) is None
    async with worker(pool, Counter(), FixedClock(NOW)):
        await finished(pool, done)
    assert await answer(done) == ("done", "")
    refused = await answer(unknown)
    assert refused is not None
    assert refused[0] == "refused"


async def test_old_jobs_are_deleted(pool: Pool) -> None:
    old, young = await ask(pool, "paint"), await ask(pool, "paint")
    await pool.execute(
        "update rating.job set finished_at = $2 where request_id = $1",
        old,
        NOW - KEPT - timedelta(seconds=1),
    )
    await pool.execute("update rating.job set finished_at = $2 where request_id = $1", young, NOW)
    async with worker(pool, Counter(), FixedClock(NOW)):

        async def is_gone() -> bool:
            found = "select exists (select from rating.job where request_id = $1)"
            return not await pool.fetchval(found, old)

        await until(is_gone)
    assert await state(pool, young) == "refused"
