"""Jobs as the services show them, re-ratings, and the unrated queue by reason. Read only."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.paging import by_columns, decode_cursor, page
from accounts.refusals import Unknown
from accounts.reports.store import shown
from accounts.typed.instants import read_instant
from ringfence.clock import Clock
from ringfence.postgres.job_loop import KEPT
from ringfence.postgres.pool import Pool

_SERVICES = ["cdr-ingest", "rating"]
"""The services whose commands are jobs."""

_UNSEEN = timedelta(days=1)
"""A job is listed for so long after its result was deleted at the latest."""

_JOB = """
select c.service, c.request_id, c.command, c.arguments, c.requested_by, c.reason, c.requested_at,
    coalesce(j.state, 'waiting') as state, coalesce(j.attempts, 0) as attempts, j.started_at,
    j.leased_until, coalesce(j.progress, '') as progress, j.done, j.total, j.finished_at,
    coalesce(j.message, '') as message, j.result
from accounts.command c
left join report.job j on j.request_id = c.request_id and j.service = c.service
where c.service = any($1) and (j.request_id is not null or c.requested_at > $2)
"""


class Jobs:
    """Reads jobs and what they changed."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def job(self, request_id: UUID) -> dict[str, Any]:
        """A job with its result. Raises Unknown, also when its result was deleted."""
        row = await self._pool.fetchrow(
            f"{_JOB} and c.request_id = $3", _SERVICES, self._since(), request_id
        )
        if row is None:
            raise Unknown(
                "job", str(request_id), "`ringfence jobs` shows those of the last 30 days"
            )
        return dict(row)

    async def jobs(self, cursor: str | None, limit: int) -> dict[str, Any]:
        """Jobs without their results, the newest first."""
        at, request_id = decode_cursor(cursor, read_instant, UUID)
        rows = await self._pool.fetch(
            f"{_JOB} and ($3::timestamptz is null"
            " or (c.requested_at, c.request_id) < ($3, $4::uuid))"
            " order by c.requested_at desc, c.request_id desc limit $5",
            _SERVICES,
            self._since(),
            at,
            request_id,
            limit + 1,
        )
        found = [{name: value for name, value in row.items() if name != "result"} for row in rows]
        return page(found, limit, by_columns("requested_at", "request_id"))

    def _since(self) -> datetime:
        return self._clock.now() - KEPT - _UNSEEN

    async def rerate_runs(self, cursor: str | None, limit: int) -> dict[str, Any]:
        """Re-ratings, the newest first."""
        at, run_id = decode_cursor(cursor, read_instant, UUID)
        rows = await self._pool.fetch(
            "select * from report.rerate_run where $1::timestamptz is null"
            " or (started_at, run_id) < ($1, $2::uuid)"
            " order by started_at desc, run_id desc limit $3",
            at,
            run_id,
            limit + 1,
        )
        return page([shown(row) for row in rows], limit, by_columns("started_at", "run_id"))

    async def rerate_run_exists(self, run_id: UUID) -> bool:
        """Whether there is a re-rating of that id."""
        return bool(
            await self._pool.fetchval(
                "select exists (select from report.rerate_run where run_id = $1)", run_id
            )
        )

    async def waiting(self) -> dict[str, Any]:
        """The unrated queue by reason."""
        rows = await self._pool.fetch(
            "select reason, count(*) as calls, sum(billsec)::bigint as billsec,"
            " min(queued_at) as oldest_at,"
            " greatest(0, extract(epoch from $1 - min(queued_at)))::bigint as oldest_s"
            " from report.unrated group by reason order by reason",
            self._clock.now(),
        )
        return {"items": [dict(row) for row in rows]}
