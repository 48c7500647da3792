"""Looks at every server for what we switched off and somebody switched on again."""

import asyncio
from datetime import timedelta
from functools import partial

import structlog

from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import Retry
from suspender.upkeep.drift.look import DriftScanner
from suspender.upkeep.metrics import DRIFTING
from suspender.upkeep.per_server import ServerTasks, renewed_lease

LEASE = timedelta(seconds=20)
"""A look that a killed process had begun is begun again after this."""
RENEWED_EVERY_S = 5.0
"""A look at a slow server may take minutes, and keeps its lease as long."""
LOOK_AGAIN = timedelta(seconds=30)
"""After a repair: whether it is off is seen soon."""
TURN_EVERY_S = 1.0
log = structlog.get_logger()


class DriftLoop:
    """The slow loop over all servers that have a driver; one replica looks at a server at a time.

    One direction only: what is off is never switched on here. Paused servers are left alone.
    """

    def __init__(self, looker: DriftScanner, *, every_s: float, progress: Progress) -> None:
        self._looker = looker
        self._every = timedelta(seconds=every_s)
        self._progress = progress
        self._looks = ServerTasks()
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
                await wait_or_stop(stop, TURN_EVERY_S)
        finally:
            await self._looks.cancel()

    async def _turn(self) -> None:
        self._looks.collect()
        store, drivers, now = self._looker.store, self._looker.drivers, self._looker.clock.now()
        if not self._registered:
            await store.register(list(drivers), now)
            self._registered = True
        free = [server_id for server_id in drivers if not self._looks.is_busy(server_id)]
        for server_id in await store.claim(free, now, now + LEASE):
            self._looks.start(server_id, self._look(server_id))
        drifting = await store.drifting()
        for server_id in drivers:
            DRIFTING.labels(server_id).set(drifting.get(server_id, 0))

    async def _renew(self, server_id: str) -> None:
        await self._looker.store.renew(server_id, self._looker.clock.now() + LEASE)

    async def _look(self, server_id: str) -> None:
        store, clock, error, every = self._looker.store, self._looker.clock, "", self._every
        try:
            await store.end_over(server_id, clock.now())
            try:
                async with renewed_lease(partial(self._renew, server_id), RENEWED_EVERY_S):
                    seen = await self._looker.look(server_id)
                if any(each.repaired for each in seen.found):
                    every = min(every, LOOK_AGAIN)
            except Retry as reason:  # the worker's alarms say that a server does not answer
                error = str(reason)
                log.warning("not looked at for drift", server_id=server_id, reason=error)
            now = clock.now()
            await store.looked(server_id, error, now, now + every)
        except TRANSIENT_ERRORS as reason:  # the lease brings it again
            log.warning("drift waits", server_id=server_id, reason=repr(reason))
