"""Looks at every server for what we switched off and somebody switched on again."""

import asyncio
from datetime import timedelta
from functools import partial

import structlog

from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import Retry
from suspender.upkeep.drift.scan import DriftScanner
from suspender.upkeep.leases import renewed_lease
from suspender.upkeep.metrics import DRIFTING
from suspender.upkeep.server_tasks import ServerTasks

LEASE = timedelta(seconds=20)
"""A look that a killed process had begun is begun again after this."""
RENEWED_EVERY_S = 5.0
"""A look at a slow server may take minutes, and keeps its lease as long."""
SCAN_AGAIN = timedelta(seconds=30)
"""After a repair: whether it is off is seen soon."""
POLL_EVERY_S = 1.0
log = structlog.get_logger()


class DriftLoop:
    """The slow loop over all servers that have a driver; one replica looks at a server at a time.

    One direction only: what is off is never switched on here. Paused servers are left alone.
    """

    def __init__(self, scanner: DriftScanner, *, every_s: float, progress: Progress) -> None:
        self._scanner = scanner
        self._every = timedelta(seconds=every_s)
        self._progress = progress
        self._scans = ServerTasks()
        self._registered = False

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set; while the database does not answer, try again."""
        try:
            while not stop.is_set():
                try:
                    await self._turn()
                except TRANSIENT_ERRORS as error:
                    log.warning("drift waits", reason=repr(error))
                self._progress.turned()
                await wait_or_stop(stop, POLL_EVERY_S)
        finally:
            await self._scans.cancel()

    async def _turn(self) -> None:
        self._scans.collect()
        store, drivers, now = self._scanner.store, self._scanner.drivers, self._scanner.clock.now()
        if not self._registered:
            await store.register(list(drivers), now)
            self._registered = True
        free = [server_id for server_id in drivers if not self._scans.is_busy(server_id)]
        for server_id in await store.claim(free, now, now + LEASE):
            self._scans.start(server_id, self._scan(server_id))
        drifting = await store.drifting()
        for server_id in drivers:
            DRIFTING.labels(server_id).set(drifting.get(server_id, 0))

    async def _renew(self, server_id: str) -> None:
        await self._scanner.store.renew(server_id, self._scanner.clock.now() + LEASE)

    async def _scan(self, server_id: str) -> None:
        store, clock, error, every = self._scanner.store, self._scanner.clock, "", self._every
        try:
            await store.end_resolved(server_id, clock.now())
            try:
                async with renewed_lease(partial(self._renew, server_id), RENEWED_EVERY_S):
                    seen = await self._scanner.scan(server_id)
                if any(each.repaired for each in seen.found):
                    every = min(every, SCAN_AGAIN)
            except Retry as reason:  # the worker's alarms say that a server does not answer
                error = str(reason)
                log.warning("not looked at for drift", server_id=server_id, reason=error)
            now = clock.now()
            await store.record_scan(server_id, error, now, now + every)
        except TRANSIENT_ERRORS as reason:  # the lease brings it again
            log.warning("drift waits", server_id=server_id, reason=repr(reason))
