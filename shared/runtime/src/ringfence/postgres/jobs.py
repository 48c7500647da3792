"""Jobs: work of minutes that an operator requests from a service by `operator.requested.v1`.

1. `JobIntake` stores the request, by its id; `run_jobs` (`job_loop`) takes it up and stores the
   result. A request that is delivered again changes nothing.
2. A worker that is killed extends its lease no more, and another one begins the job again. So a
   handler is idempotent: what it makes has ids that follow from the request's.

The table is `<schema>.job`; the view `report.job` shows the jobs of all services.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from ringfence.clock import Clock
from ringfence.postgres.pool import Pool
from ringfence_contracts.errors import Reject
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.records import Outcome, Received, Rejected, parse

_MAX_TEXT = 4000


class Job(NamedTuple):
    """A job that a worker has taken; `attempts` counts how often it was taken, this time too."""

    request_id: UUID
    command: str
    arguments: Mapping[str, str]
    requested_by: str
    requested_at: datetime
    started_at: datetime
    attempts: int


class JobProgress(NamedTuple):
    """How far a job is, in words and, if it can be counted, in numbers."""

    text: str = ""
    done: int | None = None
    total: int | None = None


class JobEnding(NamedTuple):
    """How a job ended: with a result, or with the reason why there is none."""

    state: Literal["done", "refused", "failed"]
    message: str = ""
    result: Mapping[str, Any] | None = None


_INSERT = (
    "insert into {schema}.job (request_id, command, arguments, requested_by, reason, requested_at,"
    " state, message, finished_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    " on conflict do nothing"
)
_TAKE = """
update {schema}.job set state = 'running', leased_until = $2, attempts = attempts + 1,
    started_at = coalesce(started_at, $1)
where request_id = (
    select request_id from {schema}.job
    where state in ('waiting', 'running') and coalesce(leased_until, '-infinity') <= $1
    order by requested_at, request_id limit 1 for update skip locked
)
returning request_id, command, arguments, requested_by, requested_at, started_at, attempts
"""
_MINE = "where request_id = $1 and attempts = $2 and state = 'running'"
"""Only the worker that took the job last writes to it."""


class JobStore:
    """The table of one service's jobs."""

    def __init__(self, pool: Pool, schema: str) -> None:
        self._pool = pool
        self._schema = schema

    async def insert(self, request: OperatorRequested, refusal: str, now: datetime) -> None:
        """Store a request as a waiting job, or with a refusal as a refused one; once by its id."""
        await self._pool.execute(
            _INSERT.format(schema=self._schema),
            request.request_id,
            request.command,
            request.arguments,
            request.requested_by,
            request.reason,
            request.requested_at,
            "refused" if refusal else "waiting",
            refusal,
            now if refusal else None,
        )

    async def take(self, now: datetime, lease_until: datetime) -> Job | None:
        """Take the oldest job that waits or whose worker is gone; None if there is none."""
        row = await self._pool.fetchrow(_TAKE.format(schema=self._schema), now, lease_until)
        return None if row is None else Job(*row)

    async def renew(self, job: Job, lease_until: datetime, progress: JobProgress) -> None:
        """Extend the lease of a taken job, and show how far it is."""
        await self._pool.execute(
            f"update {self._schema}.job"  # noqa: S608 - a constant of the calling service
            f" set leased_until = $3, progress = $4, done = $5, total = $6 {_MINE}",
            job.request_id,
            job.attempts,
            lease_until,
            *progress,
        )

    async def put_back(self, job: Job, due_at: datetime) -> None:
        """Let a taken job wait until `due_at`; this attempt does not count."""
        await self._pool.execute(
            f"update {self._schema}.job"  # noqa: S608
            f" set state = 'waiting', leased_until = $3, attempts = attempts - 1 {_MINE}",
            job.request_id,
            job.attempts,
            due_at,
        )

    async def finish(self, job: Job, ending: JobEnding, now: datetime) -> None:
        """Store how a taken job ended."""
        await self._pool.execute(
            f"update {self._schema}.job"  # noqa: S608
            " set state = $3, message = $4, result = $5, finished_at = $6, leased_until = null,"
            f" progress = '' {_MINE}",
            job.request_id,
            job.attempts,
            ending.state,
            ending.message.replace("\x00", "")[:_MAX_TEXT],
            ending.result,
            now,
        )

    async def prune(self, before: datetime) -> None:
        """Delete jobs that finished before an instant."""
        await self._pool.execute(
            f"delete from {self._schema}.job where finished_at < $1",  # noqa: S608
            before,
        )


class JobIntake:
    """The handler of a service's commands that are jobs: stores them, and does nothing more.

    `commands` are the names that the service has a handler for. Any other command of the service is
    stored as refused, with the names that exist; commands of other services are ignored.
    """

    def __init__(
        self, store: JobStore, *, service: str, commands: Collection[str], clock: Clock
    ) -> None:
        self._store = store
        self._service = service
        self._commands = sorted(commands)
        self._clock = clock

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        """Store the requests of a batch. Idempotent: a stored request is not stored again."""
        outcome = Outcome()
        for received in batch:
            try:
                request = parse(OperatorRequested, received)
            except Reject as reason:
                outcome.reject.append(Rejected(received, str(reason)))
                continue
            if request.service == self._service:
                await self._store.insert(request, self._refusal(request), self._clock.now())
        return outcome

    def _refusal(self, request: OperatorRequested) -> str:
        if request.command in self._commands:
            return ""
        return f"command: got {request.command}, expected one of {', '.join(self._commands)}"
