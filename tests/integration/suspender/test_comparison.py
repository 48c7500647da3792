"""A product that names what its server does not have has an alarm until one of them changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ringfence.clock import SystemClock
from ringfence.observe.health import Progress
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.account import Service
from ringfence_testing.wait import until
from suspender.upkeep import comparison
from suspender.upkeep.comparison import ComparisonLoop
from suspender.upkeep.store_comparison import ComparisonStore
from tests.support.upkeep import SuspenderTables

TENANT = "shop.example"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with await open_pool(database, service="suspender", size=3) as pool:
        yield pool


@pytest.fixture
async def rows(database: str, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> SuspenderTables:
    monkeypatch.setattr(comparison, "POLL_EVERY_S", 0.02)
    return SuspenderTables(database, pool)


@asynccontextmanager
async def comparing(pool: Pool, progress: Progress | None = None) -> AsyncIterator[None]:
    """Run the loop, with servers pbx1 and pbx2."""
    stop = asyncio.Event()
    loop = ComparisonLoop(
        store=ComparisonStore(pool),
        kinds={"pbx1": "fusionpbx", "pbx2": "fusionpbx"},
        clock=SystemClock(),
        progress=progress or Progress("comparison"),
    )
    running = asyncio.create_task(loop.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


def product(service_id: str = "s1", **changed: object) -> Service:
    fields = {
        "service_id": service_id,
        "name": "Line",
        "kind": "fusionpbx",
        "server_id": "pbx1",
        "tenant": TENANT,
        "extensions": ("101",),
    }
    return Service.model_validate(fields | changed)


async def read(
    rows: SuspenderTables, *extensions: str, server_id: str = "pbx1", tenant: str = TENANT
) -> None:
    """Write a completed reading of the server."""
    await rows.sql("delete from suspender.inventory where server_id = $1", server_id)
    items = [("tenant", tenant), *(("extension", number) for number in extensions)]
    for kind, name in items:
        await rows.sql(
            "insert into suspender.inventory (server_id, kind, tenant, name, read_at)"
            " values ($1, $2, $3, $4, now())",
            server_id, kind, tenant, name,
        )  # fmt: skip
    await rows.sql(
        "insert into suspender.inventory_read (server_id, read_at, next_at)"
        " values ($1, now(), now())"
        " on conflict (server_id) do update set read_at = clock_timestamp()",
        server_id,
    )


async def alarms_are(rows: SuspenderTables, *expected: tuple[str, str]) -> None:
    """Wait until these subjects and states were published, in order."""

    async def seen() -> bool:
        return [(subject, state) for _, subject, state in await rows.alarms()] == list(expected)

    await until(seen, timeout_s=10)


async def test_an_alarm_is_raised_once_and_ends_when_the_element_exists(
    rows: SuspenderTables, pool: Pool
) -> None:
    await rows.client(services=(product(),))
    await read(rows, "102")
    async with comparing(pool):
        await alarms_are(rows, ("s1", "raised"))
        await read(rows, "102", "103")
        await read(rows, "101", "102")
        await alarms_are(rows, ("s1", "raised"), ("s1", "ended"))
    [raised, _] = await rows.published()
    assert raised.key == "product-not-there"
    assert raised.account_id == "1001"
    assert raised.message == (
        "client 1001, product s1 names extension 101, which server pbx1 does not have."
        " Its calls never come, or it is never switched off."
    )
    assert "Is 102 (extension 102) meant?" in raised.what_to_do


async def test_a_corrected_product_ends_the_alarm_with_the_next_reading(
    rows: SuspenderTables, pool: Pool
) -> None:
    await rows.client(services=(product(tenant="shap.example"),))
    await read(rows, "101")
    async with comparing(pool):
        await alarms_are(rows, ("s1", "raised"))
        await rows.sql(
            "update suspender.account set"
            " profile = replace(profile::text, 'shap.example', $1)::json",
            TENANT,
        )
        await read(rows, "101")
        await alarms_are(rows, ("s1", "raised"), ("s1", "ended"))


async def test_a_product_on_an_unknown_server_raises_an_alarm(
    rows: SuspenderTables, pool: Pool
) -> None:
    await rows.client(services=(product(server_id="pbx11"),))
    async with comparing(pool):
        await alarms_are(rows, ("s1", "raised"))
    [raised] = await rows.published()
    assert "is on server pbx11, which is not in the servers file." in raised.message


async def test_products_that_work_or_are_undecided_raise_no_alarm(
    rows: SuspenderTables, pool: Pool
) -> None:
    """One of several extensions may be missing, and a server may never have been read."""
    both = product("s2", extensions=("101", "999")), product("s3", server_id="pbx2")
    await rows.client(services=(product(), *both))
    await read(rows, "101")
    progress = Progress("comparison")
    async with comparing(pool, progress):
        turns = progress.last_turn

        async def turned() -> bool:
            return progress.last_turn > turns

        await until(turned, timeout_s=10)
    assert await rows.alarms() == []


async def test_an_alarm_stays_while_its_server_cannot_be_compared(
    rows: SuspenderTables, pool: Pool
) -> None:
    await rows.client(services=(product(server_id="pbx2", extensions=("7",)), product("s2")))
    await read(rows, "101", server_id="pbx2")
    async with comparing(pool):
        await alarms_are(rows, ("s1", "raised"))
        await rows.sql("delete from suspender.inventory_read where server_id = 'pbx2'")
        await read(rows, "102")
        await alarms_are(rows, ("s1", "raised"), ("s2", "raised"))


async def test_a_product_newer_than_the_reading_waits_for_the_next_one(
    rows: SuspenderTables, pool: Pool
) -> None:
    await rows.client(services=(product(tenant="new.example"),))
    await read(rows, "101")
    await rows.sql("update suspender.inventory_read set asked_at = '2020-01-01'")

    async def is_requested() -> bool:
        query = "select from suspender.inventory_read where requested_at is not null"
        return bool(await rows.sql(query))

    async with comparing(pool):
        await until(is_requested, timeout_s=10)
        assert await rows.alarms() == []
        await rows.sql("update suspender.inventory_read set asked_at = '2100-01-01'")
        await read(rows, "101")
        await alarms_are(rows, ("s1", "raised"))


async def test_many_missing_products_are_one_alarm_about_the_server(
    rows: SuspenderTables, pool: Pool
) -> None:
    await rows.client(services=tuple(product(f"s{n}", tenant=f"t{n}.example") for n in range(21)))
    await read(rows, "101")
    async with comparing(pool):
        await alarms_are(rows, ("server pbx1", "raised"))
    [raised] = await rows.published()
    assert raised.message.startswith("21 products name what server pbx1 does not have")
