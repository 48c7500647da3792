"""The job `verify` {wait_s?, replay?, full?}: checks the invariants and sums up the ledger."""

from collections.abc import Mapping
from typing import Any

from rating.audit.invariants import verify
from rating.audit.replay_topics import check_rebuilt
from rating.audit.report import as_report
from rating.audit.store import AuditStore
from rating.audit.store_replay import RebuildStore
from rating.jobs.arguments import seconds, yes
from ringfence.kafka.brokers import Bootstrap
from ringfence.postgres.job_loop import ReportProgress
from ringfence.postgres.jobs import Job
from ringfence.postgres.pool import Pool

_WAIT_S = 10.0


class Verification:
    """The handler; it writes nothing but the checkpoints of its checks."""

    def __init__(self, pool: Pool, bootstrap: Bootstrap) -> None:
        self._pool = pool
        self._bootstrap = bootstrap

    async def run(self, job: Job, report_progress: ReportProgress) -> Mapping[str, Any]:
        """Verify; the report in the shape of `rating.audit.report`."""
        wait_s, replay = seconds(job, "wait_s", _WAIT_S), yes(job, "replay")
        checks, sums = await verify(
            AuditStore(self._pool),
            wait_s=wait_s,
            on_progress=report_progress,
            full=yes(job, "full"),
        )
        if replay:
            async with self._pool.acquire() as connection:
                checks.append(
                    await check_rebuilt(
                        RebuildStore(connection),
                        self._bootstrap,
                        wait_s=wait_s,
                        on_progress=report_progress,
                    )
                )
        return as_report(checks, sums)
