"""Counts, slowly and for ever, what violates an invariant; the counts are metrics."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog
from prometheus_client import Gauge

from rating.audit.finding import lasting
from rating.audit.holds import hold_key
from rating.audit.payments import payment_key
from rating.audit.store import AuditStore
from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS

DRIFT = Gauge("ringfence_drift", "Rows that violate an invariant.", ["invariant"])
AUDITED = Gauge("ringfence_drift_audited_timestamp_seconds", "When they were last counted.")
ON_ITS_WAY_S = 60
"""A call that was accepted so recently may still be on its way; so may what differs between
services until it has lasted so long."""

STALL_S = 900.0
"""Longer than the longest count may take."""

_TURN_S = 30.0
_BETWEEN_SERVICES = (
    ("I10", "rating.drift_i10", payment_key),
    ("I11", "rating.drift_i11", hold_key),
)
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
        lasting_s: float = ON_ITS_WAY_S,
    ) -> None:
        self._store = store
        self._every_s = every_s
        self._progress = progress
        self._behind = behind
        self._turn_s = turn_s
        self._lasting_s = lasting_s

    async def run(self, stop: asyncio.Event) -> None:
        """Count every so often until `stop` is set; not at all if that is 0."""
        pause_s = self._turn_s
        while not await wait_or_stop(stop, pause_s):
            pause_s = self._turn_s
            if self._every_s and not self._behind():
                await self._turn(stop)
                pause_s = self._every_s
            self._progress.turned()

    async def _turn(self, stop: asyncio.Event) -> None:
        try:
            await self.audit_once(stop)
        except TRANSIENT_ERRORS as error:
            log.warning("audit waits", reason=repr(error))

    async def audit_once(self, stop: asyncio.Event | None = None) -> dict[str, int] | None:
        """Count, and set the metrics; None while another replica counts, or once `stop` is set."""
        stop = stop or asyncio.Event()
        found = await self._store.drifting(ON_ITS_WAY_S)
        if found is None:
            return None
        found |= await self._between_services(stop)
        if stop.is_set():
            return None
        for invariant, rows in found.items():
            DRIFT.labels(invariant).set(rows)
            if rows:
                log.error("the books drift", invariant=invariant, rows=rows)
        AUDITED.set_to_current_time()
        return found

    async def _between_services(self, stop: asyncio.Event) -> dict[str, int]:
        """How many differences between services have lasted."""
        found = {}
        for invariant, view, key in _BETWEEN_SERVICES:
            look = partial(self._store.drift, view)
            found[invariant] = len(await lasting(look, key, self._lasting_s, stop=stop))
        return found
