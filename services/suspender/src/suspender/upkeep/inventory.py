"""Lists what each server has: every hour, and when an operator asks for it."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from ringfence.clock import Clock
from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import Retry
from suspender.drivers.driver import OperatorMustAct, PbxDriver
from suspender.upkeep.metrics import INVENTORY_AGE_S
from suspender.upkeep.server_tasks import ServerTasks
from suspender.upkeep.store_inventory import ServerInventoryStore

READ_BOUND_S = 1800.0
"""A server that takes longer to be listed counts as one that does not answer.

FusionPBX asks its switch once for each gateway of a list, and drivers rest between its pages.
"""
LEASE = timedelta(seconds=READ_BOUND_S + 60)
"""A read that a killed process had begun is begun again after this."""
RETRY_AT_MOST = timedelta(minutes=5)
POLL_EVERY_S = 1.0
log = structlog.get_logger()


class InventoryLoop:
    """Keeps the inventory of every server that has a driver.

    What a server answers ends nothing: the read failed, the rows of the last one are kept. The
    drivers should not be those that switch, so that a long list delays no cut.
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
        self._reads = ServerTasks()
        self._registered = False

    async def run(self, stop: asyncio.Event) -> None:
        """Read what is due until `stop` is set; while the database does not answer, try again."""
        try:
            while not stop.is_set():
                try:
                    await self._turn()
                except TRANSIENT_ERRORS as error:
                    log.warning("inventory waits", reason=repr(error))
                self._progress.turned()
                await wait_or_stop(stop, POLL_EVERY_S)
        finally:
            await self._reads.cancel()

    async def _turn(self) -> None:
        self._reads.collect()
        now = self._clock.now()
        if not self._registered:
            await self._store.register(list(self._drivers), now)
            self._registered = True
        free = [server_id for server_id in self._drivers if not self._reads.is_busy(server_id)]
        for server_id in await self._store.claim(free, now, now + LEASE):
            self._reads.start(server_id, self._read(server_id))
        for server_id, read_at in await self._store.read_times():
            INVENTORY_AGE_S.labels(server_id).set((now - read_at).total_seconds())

    async def _read(self, server_id: str) -> None:
        begun_at = self._clock.now()
        try:
            try:
                async with asyncio.timeout(READ_BOUND_S):
                    inventory = await self._drivers[server_id].inventory()
            except TimeoutError:
                await self._failed(server_id, f"no full list within {READ_BOUND_S:g} s")
            except (Retry, OperatorMustAct) as error:
                await self._failed(server_id, str(error))
            except Exception as error:  # nothing that a server answers ends us
                log.exception("driver failed", server_id=server_id)
                await self._failed(server_id, repr(error))
            else:
                now = self._clock.now()
                await self._store.replace(server_id, inventory, begun_at, now, now + self._every)
                log.info("inventory read", server_id=server_id, items=len(inventory.items))
        except TRANSIENT_ERRORS as error:  # the lease brings it again
            log.warning("inventory not kept", server_id=server_id, reason=repr(error))

    async def _failed(self, server_id: str, reason: str) -> None:
        now = self._clock.now()
        again_at = now + min(self._every, RETRY_AT_MOST)
        await self._store.failed(server_id, reason, now, again_at)
        log.warning("inventory not read", server_id=server_id, reason=reason)
