"""Rating's jobs for tests of the API and of commands: requests from the outbox are carried out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg
from structlog.testing import capture_logs

from rating.jobs.wiring import job_handlers
from ringfence.clock import SystemClock
from ringfence.observe.health import Progress
from ringfence.postgres.job_loop import JobHandler, run_jobs
from ringfence.postgres.jobs import JobIntake, JobStore
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.topics import OPERATOR_REQUESTED
from ringfence_testing.records import received

NO_BROKER = "127.0.0.1:9"


@asynccontextmanager
async def rating_jobs(
    dsn: str, handlers: Mapping[str, JobHandler] | None = None
) -> AsyncIterator[Pool]:
    """A worker that carries out what accounts publishes, by rating's handlers or by these."""
    clock, stop = SystemClock(), asyncio.Event()
    # Log lines would be among what a command prints, which is captured in this process.
    with capture_logs():
        async with await open_pool(dsn, service="rating") as pool:
            known = handlers or job_handlers(pool, NO_BROKER, clock)
            store = JobStore(pool, "rating")
            intake = JobIntake(store, service="rating", commands=known, clock=clock)
            async with asyncio.TaskGroup() as group:
                group.create_task(_deliver(dsn, intake, stop))
                group.create_task(
                    run_jobs(stop, store, known, clock=clock, progress=Progress("rating-jobs"))
                )
                try:
                    yield pool
                finally:
                    stop.set()


async def deliver(dsn: str, intake: JobIntake) -> None:
    """Deliver all requests in the outbox of accounts; those that were delivered change nothing."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "select value from accounts.outbox where topic = $1 order by id",
            OPERATOR_REQUESTED.name,
        )
    finally:
        await connection.close()
    events = [OperatorRequested.model_validate_json(bytes(row["value"])) for row in rows]
    await intake.handle([received(OPERATOR_REQUESTED, event) for event in events])


async def _deliver(dsn: str, intake: JobIntake, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await deliver(dsn, intake)
        await asyncio.sleep(0.05)
