"""The loop that counts the rows which violate an invariant; the counts are metrics."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog
from prometheus_client import Gauge

from rating.anti_entropy.check import copy_key
from rating.audit.checkpoints.ledger_check import AUDIT_BUDGET, LedgerCheck, check_unchanged
from rating.audit.checkpoints.place_check import PlaceCheck
from rating.audit.checkpoints.store import CheckpointStore
from rating.audit.checkpoints.store_places import PlacesStore
from rating.audit.finding import lasting_rows
from rating.audit.holds import hold_key
from rating.audit.payments import payment_key
from rating.audit.store import AuditStore
from ringfence.loops import run_loop
from ringfence.observe.health import Progress

DRIFT = Gauge("ringfence_drift", "Rows that violate an invariant.", ["invariant"])
AUDITED = Gauge("ringfence_drift_audited_timestamp_seconds", "When they were last counted.")
IN_FLIGHT_S = 60
"""A call that was accepted within this time may be in flight. A difference between services counts
only if it has lasted this long."""

STALL_S = 900.0
"""Longer than the longest count may take."""

_POLL_EVERY_S = 30.0
_BETWEEN_SERVICES = (
    ("I10", "rating.drift_i10", payment_key),
    ("I11", "rating.drift_i11", hold_key),
    ("I12", "rating.drift_i12", copy_key),
)
log = structlog.get_logger()


class Audit:
    """The loop; one of several replicas counts at a time.

    A count reads the calls behind its checkpoints, so it waits while `behind` says that the worker
    has a backlog. The first one waits `poll_s` seconds, in which a worker that has just
    started learns its backlog.
    """

    def __init__(
        self,
        *,
        store: AuditStore,
        every_s: int,
        progress: Progress,
        behind: Callable[[], bool],
        poll_s: float = _POLL_EVERY_S,
        lasting_s: float = IN_FLIGHT_S,
    ) -> None:
        self._store = store
        self._every_s = every_s
        self._progress = progress
        self._behind = behind
        self._poll_s = min(poll_s, every_s) if every_s else poll_s
        self._lasting_s = lasting_s
        self._due_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Count every `every_s` seconds until `stop` is set; never if that is 0."""
        self._due_at = asyncio.get_running_loop().time() + self._poll_s
        await run_loop(
            stop,
            partial(self._audit_if_due, stop),
            "audit waits",
            progress=self._progress,
            every_s=self._poll_s,
        )

    async def _audit_if_due(self, stop: asyncio.Event) -> None:
        now = asyncio.get_running_loop().time
        if self._every_s and now() >= self._due_at and not self._behind():
            try:
                await self.audit_once(stop)
            finally:
                self._due_at = now() + self._every_s

    async def audit_once(self, stop: asyncio.Event | None = None) -> dict[str, int] | None:
        """Count and set the metrics; None while another replica counts, or after `stop` is set."""
        stop = stop or asyncio.Event()
        async with self._store.counting() as alone:
            if not alone:
                return None
            found = await self._places()
        found |= await self._in_ledger()
        found |= await self._between_services(stop)
        if stop.is_set():
            return None
        for invariant, rows in found.items():
            DRIFT.labels(invariant).set(rows)
            if rows:
                log.error("the books drift", invariant=invariant, rows=rows)
        AUDITED.set_to_current_time()
        return found

    async def _places(self) -> dict[str, int]:
        """The number of calls that are nowhere, or in several places; moves the checkpoint on."""
        store = PlacesStore(self._store.pool)
        check = await PlaceCheck(
            store, wait_s=0, on_progress=self._turned, in_flight_s=IN_FLIGHT_S
        ).run()
        return {check.name: check.found}

    async def _in_ledger(self) -> dict[str, int]:
        """The number of differences in the ledger; moves its checkpoints on."""
        store = CheckpointStore(self._store.pool)
        ledger = await LedgerCheck(store, on_progress=self._turned, budget=AUDIT_BUDGET).run()
        unchanged = await check_unchanged(store, on_progress=self._turned)
        checks = (ledger.balances, ledger.costs, ledger.single, unchanged)
        return {check.name: check.found for check in checks}

    def _turned(self, *_: object) -> None:
        self._progress.turned()

    async def _between_services(self, stop: asyncio.Event) -> dict[str, int]:
        """The number of lasting differences between services."""
        found = {}
        for invariant, view, key in _BETWEEN_SERVICES:
            read = partial(self._store.drift, view)
            found[invariant] = len(await lasting_rows(read, key, self._lasting_s, stop=stop))
        return found
