"""Wires the loops of upkeep, with a pool and drivers of their own, so that they delay no switch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ringfence.clock import Clock
from ringfence.loops import Loop
from ringfence.observe.counting import CountLoop
from ringfence.observe.health import Health
from ringfence.postgres.pool import open_pool
from ringfence_pbx.servers import Servers
from suspender.drivers.wiring import open_drivers
from suspender.settings import Settings
from suspender.store import SCHEMA
from suspender.upkeep.comparison import ComparisonLoop
from suspender.upkeep.counts import ServiceCounts
from suspender.upkeep.drift.calls import CallWatch
from suspender.upkeep.drift.loop import DriftLoop
from suspender.upkeep.drift.scan import DriftScanner
from suspender.upkeep.drift.store import DriftStore
from suspender.upkeep.drift.store_calls import CallStore
from suspender.upkeep.inventory import InventoryLoop
from suspender.upkeep.store_comparison import ComparisonStore
from suspender.upkeep.store_counts import CountStore
from suspender.upkeep.store_inventory import ServerInventoryStore

_CONNECTIONS = 4


@asynccontextmanager
async def open_upkeep(
    settings: Settings, servers: Servers, clock: Clock, health: Health, woken: asyncio.Event
) -> AsyncIterator[list[Loop]]:
    """The loops to run: inventory, comparison, drift, drift by calls, and counts.

    `woken` is set when the worker has something to switch off again.
    """
    dsn = settings.postgres_dsn.get_secret_value()
    async with (
        await open_pool(dsn, service=SCHEMA, size=_CONNECTIONS) as pool,
        open_drivers(servers, clock=clock) as drivers,
    ):
        scanner = DriftScanner(store=DriftStore(pool), drivers=drivers, clock=clock, woken=woken)
        inventory = InventoryLoop(
            store=ServerInventoryStore(pool),
            drivers=drivers,
            clock=clock,
            every_s=settings.suspender_inventory_s,
            progress=health.loop("inventory"),
        )
        comparison = ComparisonLoop(
            store=ComparisonStore(pool),
            kinds={server_id: server.kind for server_id, server in servers.servers.items()},
            clock=clock,
            progress=health.loop("comparison"),
        )
        drift = DriftLoop(
            scanner, every_s=settings.suspender_drift_s, progress=health.loop("drift")
        )
        calls = CallWatch(scanner, CallStore(pool), progress=health.loop("drift-by-calls"))
        counts = CountLoop(
            ServiceCounts(CountStore(pool)).count, progress=health.loop("service-counts")
        )
        yield [inventory.run, comparison.run, drift.run, calls.run, counts.run]
