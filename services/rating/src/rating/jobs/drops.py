"""The job `unrated.drop` {rows, why}: rows that their PBX does not confirm leave the queue."""

from collections.abc import Mapping
from typing import Any

from rating.jobs.arguments import text
from rating.unrated.store import ReplaySelection, ReplayStore
from rating.unrated.store_rows import QueuedRows
from ringfence.clock import Clock
from ringfence.postgres.job_loop import ReportProgress
from ringfence.postgres.jobs import Job
from ringfence.postgres.pool import Pool
from ringfence_contracts.errors import BadInput

_SHORTEST_ID = 4


class RowDrop:
    """The handler. A dropped row is a dead call; a call that waits for a rate cannot be dropped."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._queue = ReplayStore(pool)
        self._rows = QueuedRows(pool)
        self._clock = clock

    async def run(self, job: Job, report_progress: ReportProgress) -> Mapping[str, Any]:
        """Drop the rows whose ids, or their first characters, `rows` names, divided by commas."""
        given = text(job, "rows", "the id of a row, as `ringfence unrated` lists it")
        why = text(job, "why", "why the row is dropped")
        ids = [each.strip().lower() for each in given.split(",")]
        if any(len(each) < _SHORTEST_ID for each in ids):
            raise BadInput("rows", given, f"ids, or at least their first {_SHORTEST_ID} characters")
        found = await self._queue.find_rows(ReplaySelection(call_ids=tuple(ids)))
        if not found:
            raise BadInput(
                "rows", given, "rows of the unrated queue that their PBX did not confirm"
            )
        dropped = await self._rows.drop(found, why, self._clock.now())
        report_progress("rows", len(dropped), len(dropped))
        return {"dropped": sorted(str(row) for row in dropped)}
