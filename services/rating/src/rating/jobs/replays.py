"""The job `unrated.replay` {calls?, reason?, tenant?, wait_s?}: unrated calls are tried again."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from rating.jobs.arguments import optional_text, seconds
from rating.unrated.store import ReplayOutcome, ReplaySelection, ReplayStore
from ringfence.postgres.job_loop import ReportProgress
from ringfence.postgres.jobs import Job
from ringfence.postgres.pool import Pool

_WAIT_S = 30.0
_POLL_EVERY_S = 0.5


class UnratedReplay:
    """The handler. It marks the calls; the replayer, in this replica or another, rates them."""

    def __init__(self, pool: Pool) -> None:
        self._store = ReplayStore(pool)

    async def run(self, job: Job, report_progress: ReportProgress) -> Mapping[str, Any]:
        """Mark the selected calls, all of them without a selection, and await the outcome.

        `calls` are ids or their first characters, divided by commas. The result has the number of
        calls `marked` and `settled`, those that still wait by reason, and those that were not tried
        within `wait_s`.
        """
        wait_s = seconds(job, "wait_s", _WAIT_S)
        calls = optional_text(job, "calls")
        selection = ReplaySelection(
            tuple(calls.split(",")) if calls else (),
            optional_text(job, "reason"),
            optional_text(job, "tenant"),
        )
        marked = await self._store.mark(selection)
        outcome = await self._await_outcome(marked, wait_s, report_progress)
        return {
            "marked": len(marked),
            "settled": outcome.settled,
            "not_tried": outcome.not_tried,
            "waiting": [
                {"reason": reason, "calls": count} for reason, count in outcome.waiting.items()
            ],
        }

    async def _await_outcome(
        self, marked: Sequence[UUID], wait_s: float, report_progress: ReportProgress
    ) -> ReplayOutcome:
        """The outcome when each of the calls was tried, or when the time is over."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while True:
            outcome = await self._store.outcome(marked)
            report_progress("calls", len(marked) - outcome.not_tried, len(marked))
            if not outcome.not_tried or asyncio.get_running_loop().time() >= deadline:
                return outcome
            await asyncio.sleep(_POLL_EVERY_S)
