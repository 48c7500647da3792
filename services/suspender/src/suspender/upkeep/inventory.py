"""Reads the inventory of each server: every hour, and when an operator requests it."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import Retry
from suspender.drivers.driver import PbxDriver
from suspender.upkeep.driver_call import call_driver
from suspender.upkeep.leases import LeasedServers
from suspender.upkeep.metrics import INVENTORY_AGE_S
from suspender.upkeep.store_inventory import ServerInventoryStore

READ_BOUND_S = 1800.0
"""A server that takes longer to be read counts as one that does not answer.

FusionPBX asks FreeSWITCH once for each gateway of a list, and the driver pauses between its pages.
"""
RETRY_AT_MOST = timedelta(minutes=5)
POLL_EVERY_S = 1.0
log = structlog.get_logger()


class InventoryLoop:
    """Keeps the inventory of every server that has a driver; one replica reads a server at a time.

    Whatever a server answers, the loop goes on: after a failed read the rows of the last one are
    kept. The drivers should not be those that switch, so that a long list delays no suspension.
    """

    def __init__(
        self,
        *,
        store: ServerInventoryStore,
        drivers: Mapping[str, PbxDriver],
        clock: Clock,
        every_s: float,
        progress: Progress,
    ) -> None:
        self._store = store
        self._drivers = drivers
        self._clock = clock
        self._every = timedelta(seconds=every_s)
        self._progress = progress
        self._servers = LeasedServers(store, drivers, clock)

    async def run(self, stop: asyncio.Event) -> None:
        """Read what is due until `stop` is set; while the database does not answer, try again."""
        try:
            await run_loop(
                stop, self._turn, "inventory waits", progress=self._progress, every_s=POLL_EVERY_S
            )
        finally:
            await self._servers.cancel()

    async def _turn(self) -> None:
        await self._servers.start_due(self._read)
        now = self._clock.now()
        for server_id, read_at in (await self._store.read_times()).items():
            INVENTORY_AGE_S.labels(server_id).set((now - read_at).total_seconds())

    async def _read(self, server_id: str) -> None:
        begun_at = self._clock.now()
        try:
            try:
                async with self._servers.renewed(server_id):
                    inventory = await call_driver(
                        server_id,
                        self._drivers[server_id].inventory(),
                        bound_s=READ_BOUND_S,
                        late="no full list",
                    )
            except Retry as error:
                await self._failed(server_id, str(error))
            else:
                now = self._clock.now()
                await self._store.replace(server_id, inventory, begun_at, now, now + self._every)
                log.info("inventory read", server_id=server_id, items=len(inventory.items))
        except TRANSIENT_ERRORS as error:  # the server is read again when the lease ends
            log.warning("inventory not kept", server_id=server_id, reason=repr(error))

    async def _failed(self, server_id: str, reason: str) -> None:
        now = self._clock.now()
        again_at = now + min(self._every, RETRY_AT_MOST)
        await self._store.failed(server_id, reason, now, again_at)
        log.warning("inventory not read", server_id=server_id, reason=reason)
