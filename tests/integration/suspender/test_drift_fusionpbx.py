"""A person enables a suspended gateway at a FusionPBX: found, and switched off by the worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from ringfence.clock import SystemClock
from ringfence.observe.health import Health, Progress
from ringfence.postgres.pool import open_pool
from ringfence_pbx.servers import Servers
from ringfence_testing.wait import until
from suspender.drivers.fusionpbx.driver import FusionPbxDriver
from suspender.settings import Settings
from suspender.switching.store import WorkStore
from suspender.switching.worker import Worker
from suspender.upkeep.drift.loop import DriftLoop
from suspender.upkeep.drift.scan import DriftScanner
from suspender.upkeep.drift.store import DriftStore
from suspender.upkeep.inventory import InventoryLoop
from suspender.upkeep.store_inventory import ServerInventoryStore
from suspender.upkeep.wiring import open_upkeep
from tests.support.fusionpbx import MCON, can_call, server_of, service_of, simulated
from tests.support.upkeep import SuspenderTables

SETTINGS = Settings(suspender_poll_s=0.05)
SERVER = "pbx-1"


@pytest.fixture
async def rows(database: str) -> AsyncIterator[SuspenderTables]:
    async with await open_pool(database, service="suspender", size=12) as pool:
        yield SuspenderTables(database, pool)


@pytest.fixture
async def pbx(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    async with simulated(monkeypatch) as simulator:
        yield simulator


@asynccontextmanager
async def driver_of(pbx: Any) -> AsyncIterator[FusionPbxDriver]:
    driver = FusionPbxDriver(SERVER, server_of(pbx.url), clock=SystemClock())
    try:
        yield driver
    finally:
        await driver.aclose()


@asynccontextmanager
async def suspender(rows: SuspenderTables, pbx: Any) -> AsyncIterator[None]:
    """The worker, and the loops beside it with a driver of their own."""
    stop, clock = asyncio.Event(), SystemClock()
    async with driver_of(pbx) as switching, driver_of(pbx) as looking:
        worker = Worker(
            store=WorkStore(rows.pool),
            drivers={SERVER: switching},
            clock=clock,
            settings=SETTINGS,
            progress=Progress("worker"),
        )
        scanner = DriftScanner(
            store=DriftStore(rows.pool),
            drivers={SERVER: looking},
            clock=clock,
            woken=worker.woken,
        )
        inventory = InventoryLoop(
            store=ServerInventoryStore(rows.pool),
            drivers={SERVER: looking},
            clock=clock,
            every_s=0.5,
            progress=Progress("inventory"),
        )
        drift = DriftLoop(scanner, every_s=0.2, progress=Progress("drift"))
        running = [asyncio.create_task(each.run(stop)) for each in (worker, drift, inventory)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*running)


def gateway(pbx: Any, name: str) -> Any:
    return next(each for each in pbx.pbx.gateways.values() if each.name == name)


async def is_confirmed(rows: SuspenderTables) -> bool:
    return bool(
        await rows.sql(
            "select from suspender.service s join suspender.switched_off o using (account_id)"
            " where s.confirmed = 'suspended' and o.confirmed_at is not null"
        )
    )


async def test_a_gateway_that_a_person_enables_is_switched_off_again(
    rows: SuspenderTables, pbx: Any
) -> None:
    product = service_of(pbx, "gateway")
    await rows.client(services=(product,))
    await rows.service("1001", product, due=True, would="suspended", holds=["funds"])
    other = gateway(pbx, "Trunk B")
    pbx.pbx.toggle("gateways", other.uuid)  # off by a person, which is nothing of ours
    async with suspender(rows, pbx):
        await until(lambda: is_confirmed(rows))
        await until(lambda: _are_off(rows, ["Trunk A", "Trunk B"]))
        assert not can_call(pbx)
        pbx.pbx.toggle("gateways", gateway(pbx, "Trunk A").uuid)
        assert can_call(pbx)
        await until(lambda: _states(rows, ["raised"]), timeout_s=30)
        await until(lambda: _states(rows, ["raised", "ended"]), timeout_s=60)
        assert not can_call(pbx)
        await until(lambda: _are_off(rows, ["Trunk A", "Trunk B"]))
    (alarm, _) = await rows.published()
    uuid = gateway(pbx, "Trunk A").uuid
    assert alarm.subject == f"{SERVER}/gateway/{uuid}"
    assert f"gateway Trunk A ({uuid}) on server {SERVER} is on" in alarm.message
    assert not other.enabled
    others = await rows.sql("select kind, tenant, name from report.off_by_others")
    assert [tuple(row) for row in others] == [("gateway", other.domain, "Trunk B")]
    assert other.domain != MCON


async def _states(rows: SuspenderTables, expected: list[str]) -> bool:
    return [state for key, _, state in await rows.alarms() if key == "drift"] == expected


async def _are_off(rows: SuspenderTables, expected: list[str]) -> bool:
    found = await rows.sql("select name from report.inventory where not enabled order by name")
    return [row["name"] for row in found] == expected


async def test_the_service_reads_and_scans_the_servers_of_its_file(
    rows: SuspenderTables, pbx: Any, database: str
) -> None:
    servers = Servers(servers={SERVER: server_of(pbx.url)})
    settings = Settings(postgres_dsn=SecretStr(database))
    stop, health = asyncio.Event(), Health()
    async with open_upkeep(settings, servers, SystemClock(), health, asyncio.Event()) as loops:
        running = [asyncio.create_task(loop(stop)) for loop in loops]
        await until(lambda: rows.sql("select from report.inventory_read where read_at is not null"))
        await until(lambda: rows.sql("select from report.drift_look where looked_at is not null"))
        stop.set()
        await asyncio.gather(*running)
    assert {"inventory", "drift", "drift-by-calls"} <= {loop.name for loop in health.loops}
    names = await rows.sql("select name from report.inventory where kind = 'gateway' order by name")
    assert [row["name"] for row in names] == ["Trunk A", "Trunk B"]
