"""The jobs of re-rating: `rerate.dry_run`, `rerate.apply`, `rerate.undo`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rating.jobs.arguments import optional_text, text, uuid, whole
from rating.rerating.plan import RerateOrder
from rating.rerating.run import RerateSummary, Rerating
from rating.rerating.store import RerateStore
from rating.store import RatingStore
from ringfence.clock import Clock
from ringfence.postgres.job_loop import ReportProgress
from ringfence.postgres.jobs import Job
from ringfence.postgres.pool import Pool
from ringfence_contracts.ids import derive

_DAY = "a day such as 2026-11-01, or an instant such as 2026-11-01T00:00-05:00"
_MOST_REASONS = 20


class Reratings:
    """The handlers. An applied run has an id that follows from the request's."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def dry_run(self, job: Job, report_progress: ReportProgress) -> Mapping[str, Any]:
        """`rerate.dry_run` {tariff, version, from, to, account?}: what would differ."""
        return _result(await self._rerating(report_progress).dry_run(_order(job)), None)

    async def apply(self, job: Job, report_progress: ReportProgress) -> Mapping[str, Any]:
        """`rerate.apply` {tariff, version, from, to, account?}: reverse and charge again."""
        run_id = derive("rerate-run", job.request_id)
        run, found = await self._rerating(report_progress).apply(_order(job), run_id)
        return _result(found, str(run.run_id))

    async def undo(self, job: Job, report_progress: ReportProgress) -> Mapping[str, Any]:
        """`rerate.undo` {run}: put the charges back that a run replaced."""
        run_id = uuid(job, "run", "the id of a run, as `ringfence rerate --list` shows it")
        return _result(await self._rerating(report_progress).undo(run_id), str(run_id))

    def _rerating(self, report_progress: ReportProgress) -> Rerating:
        return Rerating(
            store=RerateStore(self._pool),
            rates=RatingStore(self._pool),
            clock=self._clock,
            on_account=lambda done, total: report_progress("clients", done, total),
        )


def _order(job: Job) -> RerateOrder:
    return RerateOrder(
        text(job, "tariff", "the id of a tariff"),
        whole(job, "version", "the number of a version of the tariff"),
        text(job, "from", _DAY),
        text(job, "to", _DAY),
        optional_text(job, "account"),
    )


def _result(found: Sequence[RerateSummary], run_id: str | None) -> dict[str, Any]:
    """The clients with a difference, the totals by currency, and why other charges stay."""
    totals: dict[str, dict[str, Any]] = {}
    unchanged: Counter[str] = Counter()
    for each in found:
        total = totals.setdefault(
            each.currency,
            {"currency": each.currency, "examined": 0, "charged_micro": 0, "difference_micro": 0},
        )
        total["examined"] += each.examined
        total["charged_micro"] += each.charged_micro
        total["difference_micro"] += each.difference_micro
        unchanged += each.unchanged
    return {
        "run_id": run_id,
        "accounts": [
            {
                "account_id": each.account_id,
                "currency": each.currency,
                "examined": each.examined,
                "charged_micro": each.charged_micro,
                "differ": each.differ,
                "difference_micro": each.difference_micro,
            }
            for each in found
            if each.differ
        ],
        "totals": list(totals.values()),
        "unchanged": [
            {"reason": reason, "charges": charges}
            for reason, charges in unchanged.most_common(_MOST_REASONS)
        ],
    }
