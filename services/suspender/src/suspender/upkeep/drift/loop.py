"""Scans every server for elements that we switched off and somebody switched on again."""

import asyncio
from datetime import timedelta

import structlog

from ringfence.loops import run_loop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import Retry
from suspender.upkeep.drift.scan import DriftScanner
from suspender.upkeep.leases import LeasedServers
from suspender.upkeep.metrics import DRIFTING

SCAN_AGAIN = timedelta(seconds=30)
"""After a repair the server is scanned soon, to see that the element is off."""
POLL_EVERY_S = 1.0
log = structlog.get_logger()


class DriftLoop:
    """Scans all servers that have a driver; one replica scans a server at a time.

    It never switches on what is off. Paused servers are not scanned.
    """

    def __init__(self, scanner: DriftScanner, *, every_s: float, progress: Progress) -> None:
        self._scanner = scanner
        self._every = timedelta(seconds=every_s)
        self._progress = progress
        self._servers = LeasedServers(scanner.store, scanner.drivers, scanner.clock)

    async def run(self, stop: asyncio.Event) -> None:
        """Scan until `stop` is set; while the database does not answer, try again."""
        try:
            await run_loop(
                stop, self._turn, "drift waits", progress=self._progress, every_s=POLL_EVERY_S
            )
        finally:
            await self._servers.cancel()

    async def _turn(self) -> None:
        await self._servers.start_due(self._scan)
        drifting = await self._scanner.store.drifting()
        for server_id in self._scanner.drivers:
            DRIFTING.labels(server_id).set(drifting.get(server_id, 0))

    async def _scan(self, server_id: str) -> None:
        store, clock, error, every = self._scanner.store, self._scanner.clock, "", self._every
        try:
            await store.end_resolved(server_id, clock.now())
            try:
                async with self._servers.renewed(server_id):
                    result = await self._scanner.scan(server_id)
                if any(finding.repaired for finding in result.found):
                    every = min(every, SCAN_AGAIN)
            except Retry as reason:  # the worker's alarms report a server that does not answer
                error = str(reason)
                log.warning("not looked at for drift", server_id=server_id, reason=error)
            now = clock.now()
            await store.record_scan(server_id, error, now, now + every)
        except TRANSIENT_ERRORS as reason:  # the server is scanned again when the lease ends
            log.warning("drift waits", server_id=server_id, reason=repr(reason))
