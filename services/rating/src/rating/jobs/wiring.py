"""The consumer and the loop of rating's jobs, with database connections of their own.

A verification of a large ledger runs for minutes beside rating, so it takes none of the connections
that the pipeline needs.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from rating.claims.store import ALARMS
from rating.jobs.drops import RowDrop
from rating.jobs.replays import UnratedReplay
from rating.jobs.reratings import Reratings
from rating.jobs.verification import Verification
from rating.settings import Settings
from ringfence.anti_entropy.offsets import ConsumedOffsets
from ringfence.clock import Clock
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.brokers import Bootstrap
from ringfence.kafka.failures.keeper import keep_failures
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import Publisher
from ringfence.loops import Loop
from ringfence.observe.health import Health
from ringfence.postgres.job_loop import JobHandler, run_jobs
from ringfence.postgres.jobs import JobIntake, JobStore
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.topics import OPERATOR_REQUESTED

NAME = "rating"
GROUP = "rating-jobs"
_CONNECTIONS = 3
"""A job uses two at a time; the third one shows its progress."""


def job_handlers(pool: Pool, bootstrap: Bootstrap, clock: Clock) -> Mapping[str, JobHandler]:
    """The commands that rating carries out as jobs."""
    reratings = Reratings(pool, clock)
    return {
        "verify": Verification(pool, bootstrap).run,
        "rerate.dry_run": reratings.dry_run,
        "rerate.apply": reratings.apply,
        "rerate.undo": reratings.undo,
        "unrated.replay": UnratedReplay(pool).run,
        "unrated.drop": RowDrop(pool, clock).run,
    }


@asynccontextmanager
async def job_loops(
    settings: Settings, publisher: Publisher, health: Health, clock: Clock
) -> AsyncIterator[list[Loop]]:
    """The loop that stores requests, and the loop that carries them out."""
    dsn, bootstrap = settings.postgres_dsn.get_secret_value(), settings.brokers()
    async with await open_pool(dsn, service=NAME, size=_CONNECTIONS) as pool:
        store = JobStore(pool, "rating")
        handlers = job_handlers(pool, bootstrap, clock)
        intake = JobIntake(store, service=NAME, commands=handlers, clock=clock)
        failures = keep_failures(
            pool, ALARMS, group=GROUP, progress=health.loop("rating-job-failures")
        )
        runner = BatchRunner(
            RecordProcessor(intake.handle, publisher, consumer=NAME, failures=failures),
            (OPERATOR_REQUESTED,),
            bootstrap=bootstrap,
            group=GROUP,
            progress=health.loop("rating-job-intake"),
            max_records=100,
            offsets=ConsumedOffsets(pool, ALARMS, service=NAME, group=GROUP, clock=clock),
        )
        jobs = partial(
            run_jobs,
            store=store,
            handlers=handlers,
            clock=clock,
            progress=health.loop("rating-jobs"),
        )
        yield [runner.run, failures.run, jobs]
