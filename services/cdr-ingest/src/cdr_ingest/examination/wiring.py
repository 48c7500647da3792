"""Builds the loops of the examination: one stores requests as jobs, one carries them out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from cdr_ingest.anti_entropy.store import ALARMS
from cdr_ingest.examination.handler import COMMAND, ExaminationHandler
from cdr_ingest.examination.store import ExaminationLock
from cdr_ingest.settings import Settings
from ringfence.clock import SystemClock
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.failures.keeper import keep_failures
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import Publisher
from ringfence.loops import Loop
from ringfence.observe.health import Health
from ringfence.postgres.job_loop import run_jobs
from ringfence.postgres.jobs import JobIntake, JobStore
from ringfence.postgres.pool import open_pool
from ringfence_contracts.topics import OPERATOR_REQUESTED
from ringfence_pbx.servers import Servers

NAME = "cdr-ingest"
_CONNECTIONS = 3
"""For the request, the job's progress, and the lock. They are not those of the calls."""


@asynccontextmanager
async def open_examinations(
    settings: Settings, servers: Servers, publisher: Publisher, health: Health
) -> AsyncIterator[tuple[Loop, ...]]:
    """The loops, with database connections of their own."""
    dsn, clock = settings.postgres_dsn.get_secret_value(), SystemClock()
    async with await open_pool(dsn, service=NAME, size=_CONNECTIONS) as pool:
        handler = ExaminationHandler(settings, servers.servers, ExaminationLock(pool))
        handlers = {COMMAND: handler.handle}
        store = JobStore(pool, "cdr_ingest")
        intake = JobIntake(store, service=NAME, commands=handlers, clock=clock)
        # A request that cannot be carried out is made again, so it is not listed as dead.
        failures = keep_failures(
            pool, ALARMS, group=NAME, progress=health.loop("failures"), lists_dead=False
        )
        runner = BatchRunner(
            RecordProcessor(intake.handle, publisher, consumer=NAME, failures=failures),
            (OPERATOR_REQUESTED,),
            bootstrap=settings.brokers(),
            group=NAME,
            progress=health.loop("job-intake"),
            max_records=100,
        )
        jobs = partial(
            run_jobs, store=store, handlers=handlers, clock=clock, progress=health.loop("jobs")
        )
        yield runner.run, failures.run, jobs
