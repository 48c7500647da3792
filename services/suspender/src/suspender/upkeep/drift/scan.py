"""Scans a server: which of the elements that we switched off are on."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

import structlog

from ringfence.clock import Clock
from suspender.drivers.driver import ElementReading, PbxDriver, SwitchTarget
from suspender.rules.elements import ServiceKey
from suspender.upkeep.drift.alarm import DriftCandidate
from suspender.upkeep.drift.store import DriftFinding, DriftStore
from suspender.upkeep.driver_call import call_driver
from suspender.upkeep.metrics import DRIFT

CALL_BOUND_S = 120.0
AT_ONCE = 500
"""The most elements in one call of a driver."""
log = structlog.get_logger()


class ScanResult(NamedTuple):
    """The result of a scan: how many elements were checked, and those that were on."""

    checked: int
    found: list[DriftFinding]


class DriftScanner:
    """Scans servers by drivers of its own. `woken` is set when the worker has to repair."""

    def __init__(
        self,
        *,
        store: DriftStore,
        drivers: Mapping[str, PbxDriver],
        clock: Clock,
        woken: asyncio.Event,
    ) -> None:
        self.store = store
        self.drivers = drivers
        self.clock = clock
        self._woken = woken

    async def scan(
        self,
        server_id: str,
        services: Collection[ServiceKey] | None = None,
        calls: Mapping[ServiceKey, str] | None = None,
    ) -> ScanResult:
        """Check what we switched off, for all services or for some, and have drift repaired.

        `calls`: by service, the call that revealed it, in words for the alarm. Raises Retry when
        the server does not answer or its driver fails; that is no drift.
        """
        candidates = await self.store.candidates(server_id, self.clock.now(), services)
        candidates.sort(key=lambda candidate: (candidate.element.tenant, candidate.element))
        found: list[DriftFinding] = []
        for first in range(0, len(candidates), AT_ONCE):
            part = candidates[first : first + AT_ONCE]
            began_at = self.clock.now()
            targets = [SwitchTarget(candidate.element, candidate.product) for candidate in part]
            live = await call_driver(
                server_id, self.drivers[server_id].live(targets), bound_s=CALL_BOUND_S
            )
            on = [candidate for candidate in part if candidate.element in live]
            noted = await self.store.record_on(server_id, on, dict(calls or {}), self.clock.now())
            self._count(server_id, noted)
            found += noted
            off = [candidate for candidate in part if candidate.element not in live]
            await self._end_what_is_off(server_id, off, began_at)
        return ScanResult(len(candidates), found)

    async def _end_what_is_off(
        self, server_id: str, off: list[DriftCandidate], began_at: datetime
    ) -> None:
        """End the drift of elements that were on in an earlier scan and are read as off now."""
        drifting = await self.store.drifting_among(server_id, {each.element for each in off})
        again = [candidate for candidate in off if candidate.element in drifting]
        if not again:
            return
        targets = [SwitchTarget(candidate.element, candidate.product) for candidate in again]
        readings = await call_driver(
            server_id, self.drivers[server_id].read(targets), bound_s=CALL_BOUND_S
        )
        over = {
            element
            for element, reading in readings.items()
            if isinstance(reading, ElementReading) and reading.state != "on"
        }
        await self.store.record_off(server_id, over, began_at, self.clock.now())

    def _count(self, server_id: str, found: list[DriftFinding]) -> None:
        for each in found:
            DRIFT.labels(server_id).inc()
            log.warning(
                "drift", server_id=server_id, element=tuple(each.element), repaired=each.repaired
            )
        if any(each.repaired for each in found):
            self._woken.set()
