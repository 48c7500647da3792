"""Counts, slowly and for ever, what violates an invariant; the counts are metrics."""

import asyncio
from collections.abc import Callable

import structlog
from prometheus_client import Gauge

from rating.store_audit import AuditStore
from ringfence.kafka.shell import UNWELL, wait_or_stop
from ringfence.observe.health import Progress

DRIFT = Gauge("ringfence_drift", "Rows that violate an invariant.", ["invariant"])
AUDITED = Gauge("ringfence_drift_audited_timestamp_seconds", "When they were last counted.")
ON_ITS_WAY_S = 60
"""A call that was accepted so recently may still be on its way."""

STALL_S = 900.0
"""Longer than the longest count may take."""

_TURN_S = 30.0
log = structlog.get_logger()


class Audit:
    """The loop; of several replicas one counts at a time.

    The whole ledger is read for a count: it waits until the worker has no backlog, which `behind`
    says, and a worker that has just started is given a moment to see what there is.
    """

    def __init__(
        self,
        *,
        store: AuditStore,
        every_s: int,
        progress: Progress,
        behind: Callable[[], bool],
        turn_s: float = _TURN_S,
    ) -> None:
        self._store = store
        self._every_s = every_s
        self._progress = progress
        self._behind = behind
        self._turn_s = turn_s

    async def run(self, stop: asyncio.Event) -> None:
        """Count every so often until `stop` is set; not at all if that is 0."""
        pause_s = self._turn_s
        while not await wait_or_stop(stop, pause_s):
            pause_s = self._turn_s
            if self._every_s and not self._behind():
                await self._turn()
                pause_s = self._every_s
            self._progress.turned()

    async def _turn(self) -> None:
        try:
            await self.audit_once()
        except UNWELL as error:
            log.warning("audit waits", reason=repr(error))

    async def audit_once(self) -> dict[str, int] | None:
        """Count, and set the metrics; None while another replica counts."""
        found = await self._store.drifting(ON_ITS_WAY_S)
        for invariant, rows in (found or {}).items():
            DRIFT.labels(invariant).set(rows)
            if rows:
                log.error("the books drift", invariant=invariant, rows=rows)
        if found is not None:
            AUDITED.set_to_current_time()
        return found
