"""Inventories are read as a whole, at intervals and on request, and kept when a read fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from ringfence.clock import Clock, SystemClock
from ringfence.observe.health import Progress
from ringfence.postgres.leases import LEASE
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.errors import Retry
from ringfence_testing.clock import FixedClock
from ringfence_testing.wait import until
from suspender.drivers.driver import Inventory, OperatorMustAct, ServerItem
from suspender.rules.elements import Element
from suspender.upkeep.inventory import InventoryLoop
from suspender.upkeep.store_inventory import ServerInventoryStore, request_read
from tests.support.suspender import SuspenderHarness
from tests.support.upkeep import SuspenderTables

EXTENSIONS = tuple(
    ServerItem(
        "extension", "Shop.example", number, f"uuid-{number}", f"Desk {number}", number != "102"
    )
    for number in ("101", "102", "103")
)
GATEWAY = ServerItem("gateway", "shop.example", "Carrier A", "AA-BB", "", False)
LIST = Inventory((ServerItem("tenant", "", "shop.example", enabled=True), *EXTENSIONS, GATEWAY))


class FakeServer:
    """A server that can only give its inventory."""

    at_once = 1

    def __init__(self) -> None:
        self.list = LIST
        self.error: Exception | None = None
        self.hangs = False
        self.fails_first = 0
        self.reads = 0

    async def inventory(self) -> Inventory:
        self.reads += 1
        if self.reads <= self.fails_first:
            raise Retry("no answer")
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return self.list


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with await open_pool(database, service="suspender", size=6) as pool:
        yield pool


@pytest.fixture
def rows(database: str, pool: Pool) -> SuspenderTables:
    return SuspenderTables(database, pool)


def inventory_loop(
    pool: Pool, clock: Clock, every_s: float = 3600, **servers: Any
) -> InventoryLoop:
    return InventoryLoop(
        store=ServerInventoryStore(pool),
        drivers=servers,
        clock=clock,
        every_s=every_s,
        progress=Progress("inventory"),
    )


@asynccontextmanager
async def reading(
    pool: Pool, every_s: float = 3600, clock: Clock | None = None, **servers: Any
) -> AsyncIterator[None]:
    """Run the loop on these servers."""
    stop = asyncio.Event()
    loop = inventory_loop(pool, clock or SystemClock(), every_s, **servers)
    running = asyncio.create_task(loop.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def names(rows: SuspenderTables, server_id: str = "pbx1") -> list[str]:
    found = await rows.sql(
        "select name from report.inventory where server_id = $1 order by kind, name", server_id
    )
    return [row["name"] for row in found]


async def state(rows: SuspenderTables, server_id: str = "pbx1") -> asyncpg.Record | None:
    found = await rows.sql("select * from report.inventory_read where server_id = $1", server_id)
    return found[0] if found else None


async def was_read(rows: SuspenderTables, server_id: str = "pbx1") -> bool:
    found = await state(rows, server_id)
    return found is not None and found["read_at"] is not None


def age() -> float | None:
    labels = {"server": "pbx1"}
    return REGISTRY.get_sample_value("ringfence_suspender_inventory_age_seconds", labels)


async def ask(pool: Pool, server_id: str = "pbx1") -> str:
    async with pool.acquire() as connection, connection.transaction():
        return await request_read(connection, server_id, SystemClock().now())


async def test_the_inventory_has_all_that_the_server_lists(rows: SuspenderTables) -> None:
    server = FakeServer()
    server.list = Inventory(LIST.items, ("tenant b: the key may not see it",), True)
    async with reading(rows.pool, pbx1=server):
        await until(lambda: was_read(rows))
        await until(lambda: age() is not None)
    (row,) = await rows.sql("select * from report.inventory where name = '102'")
    shown = dict(row)
    shown.pop("read_at")
    assert shown == {
        "server_id": "pbx1",
        "kind": "extension",
        "tenant": "Shop.example",
        "name": "102",
        "uuid": "uuid-102",
        "label": "Desk 102",
        "enabled": False,
        "leads_to": "",
    }
    assert await names(rows) == ["101", "102", "103", "Carrier A", "shop.example"]
    found = await state(rows)
    assert found is not None
    assert found["gaps"] == ["tenant b: the key may not see it"]
    assert found["tests_toll_allow"] is True
    assert found["error"] == ""
    assert found["asked_at"] <= found["read_at"]


async def test_a_later_inventory_replaces_the_earlier_one(rows: SuspenderTables) -> None:
    server, other = FakeServer(), FakeServer()
    async with reading(rows.pool, pbx1=server, pbx2=other):
        await until(lambda: was_read(rows, "pbx2"))
        await until(lambda: was_read(rows))
        server.list = Inventory(EXTENSIONS[:1])
        assert await ask(rows.pool) == ""
        await until(lambda: _are(rows, ["101"]))
    assert len(await names(rows, "pbx2")) == 5
    assert other.reads == 1


async def _are(rows: SuspenderTables, expected: list[str]) -> bool:
    return await names(rows) == expected


async def test_duplicate_items_and_unstorable_characters_are_cleaned(
    rows: SuspenderTables,
) -> None:
    server = FakeServer()
    odd = ServerItem("extension", "t", "1\x00\ud800", "u" * 9000, "n" * 9000, None)
    server.list = Inventory((odd, odd, *EXTENSIONS))
    async with reading(rows.pool, pbx1=server):
        await until(lambda: was_read(rows))
    assert await names(rows) == ["101", "102", "103", "1\ufffd?"]


@pytest.mark.parametrize(
    "error", [Retry("no answer"), OperatorMustAct("refuses the key"), KeyError("odd page")]
)
async def test_a_failed_read_keeps_what_was_read_before(
    rows: SuspenderTables, error: Exception
) -> None:
    server = FakeServer()
    async with reading(rows.pool, pbx1=server):
        await until(lambda: was_read(rows))
        before = await state(rows)
        server.error = error
        await ask(rows.pool)
        await until(lambda: _failed(rows))
    after = await state(rows)
    assert before is not None
    assert after is not None
    assert after["error"] == (repr(error) if isinstance(error, KeyError) else str(error))
    assert after["read_at"] == before["read_at"] < after["asked_at"]
    assert len(await names(rows)) == 5


async def _failed(rows: SuspenderTables) -> bool:
    found = await state(rows)
    return found is not None and found["error"] != ""


@pytest.mark.parametrize(("times", "expected"), [(2, []), (3, ["raised", "ended"])])
async def test_three_failures_in_a_row_are_an_alarm_until_it_can_be_read(
    rows: SuspenderTables, times: int, expected: list[str]
) -> None:
    server = FakeServer()
    server.fails_first = times
    async with reading(rows.pool, every_s=0.01, pbx1=server):
        await until(lambda: was_read(rows))
    assert [state for _, _, state in await rows.alarms()] == expected
    for raised in (await rows.published())[:1]:
        assert (raised.key, raised.subject) == ("inventory-failed", "pbx1")
        assert "3 times in a row (read never so far): no answer" in raised.message


async def test_a_server_that_hangs_delays_no_other(rows: SuspenderTables) -> None:
    slow = FakeServer()
    slow.hangs = True
    async with reading(rows.pool, every_s=0.01, slow=slow, pbx1=FakeServer()):
        await until(lambda: was_read(rows))
        assert not await was_read(rows, "slow")


async def test_a_command_has_a_server_read_at_once(rows: SuspenderTables, database: str) -> None:
    harness, server = SuspenderHarness(database, rows.pool), FakeServer()
    async with reading(rows.pool, pbx1=server):
        await until(lambda: was_read(rows))
        await harness.command("inventory.read", arguments={"server_id": "pbx1"})
        await until(lambda: server.reads == 2)
        await harness.command("inventory.read", arguments={"server_id": "pbx9"})
        await harness.command("inventory.read")
    assert await harness.answers() == [
        ("done", "server pbx1: what it has is read now"),
        ("refused", "server_id: got pbx9, expected a server that can be read: pbx1"),
        ("refused", "server_id: got nothing, expected the id of a server"),
    ]


async def test_a_request_for_an_unknown_server_is_refused_with_the_known_ones(
    rows: SuspenderTables,
) -> None:
    async with reading(rows.pool, pbx1=FakeServer()):
        await until(lambda: was_read(rows))
    assert await ask(rows.pool, "pbx9") == (
        "server_id: got pbx9, expected a server that can be read: pbx1"
    )


async def test_a_server_that_left_the_servers_file_is_deleted_with_its_alarm(
    rows: SuspenderTables,
) -> None:
    broken, read = FakeServer(), FakeServer()
    broken.error = Retry("no answer")
    async with reading(rows.pool, every_s=0.01, pbx1=broken, pbx2=read):
        await until(lambda: was_read(rows, "pbx2"))
        await until(lambda: _has_alarm(rows))
    async with reading(rows.pool, pbx3=FakeServer()):
        await until(lambda: was_read(rows, "pbx3"))
    assert await names(rows, "pbx2") == []
    assert await state(rows, "pbx1") is None
    assert [state for _, _, state in await rows.alarms()] == ["raised", "ended"]


async def _has_alarm(rows: SuspenderTables) -> bool:
    return await rows.alarms() != []


async def test_a_paused_server_is_read_only_on_request(rows: SuspenderTables) -> None:
    await rows.sql("insert into suspender.server_pause values ('pbx1', now(), null, 'olga')")
    paused, other = FakeServer(), FakeServer()
    async with reading(rows.pool, every_s=0.01, pbx1=paused, pbx2=other):
        await until(lambda: other.reads >= 2)
        assert paused.reads == 0
        await ask(rows.pool)
        await until(lambda: was_read(rows))
    assert paused.reads == 1


async def test_the_read_of_a_killed_process_is_begun_again_within_20_seconds(
    rows: SuspenderTables,
) -> None:
    clock = FixedClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    server = FakeServer()
    server.hangs = True
    killed = asyncio.create_task(inventory_loop(rows.pool, clock, pbx1=server).run(asyncio.Event()))
    await until(lambda: server.reads == 1)
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    server.hangs = False
    clock.set(clock.now() + timedelta(seconds=20))
    async with reading(rows.pool, clock=clock, pbx1=server):
        await until(lambda: was_read(rows))


async def test_a_read_that_takes_long_keeps_its_lease(
    rows: SuspenderTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suspender.upkeep.leases.RENEWED_EVERY_S", 0.01)
    clock = FixedClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    server, store = FakeServer(), ServerInventoryStore(rows.pool)
    server.hangs = True
    async with reading(rows.pool, clock=clock, pbx1=server):
        await until(lambda: server.reads == 1)
        clock.set(clock.now() + timedelta(minutes=20))
        await until(partial(_is_leased_until, rows, clock.now() + LEASE))
        assert await store.claim(["pbx1"], clock.now(), clock.now() + LEASE) == []


async def _is_leased_until(rows: SuspenderTables, instant: datetime) -> bool:
    (row,) = await rows.sql("select next_at from suspender.inventory_read")
    return bool(row["next_at"] == instant)


IMPORTED = {"voip_suspended": "Yes", "voip_suspended_by": "import"}


async def adoptable(rows: SuspenderTables) -> list[tuple[str, str, str]]:
    found = await rows.sql("select * from report.adoptable order by account_id, way, element")
    return [(row["account_id"], row["way"], row["element"]) for row in found]


DESK_101, DESK_102 = (Element("extensions", "shop.example", name) for name in ("101", "102"))
TRUNK = Element("gateway", "", "aa-bb")


async def test_elements_that_are_off_for_imported_clients_can_be_adopted(
    rows: SuspenderTables,
) -> None:
    await rows.client("imported", profile=IMPORTED, services=(), mode="shadow")
    await rows.client("other", services=())
    domain = Element("domain", "shop.example", "shop.example")
    for element in (DESK_101, DESK_102, TRUNK, domain):
        await rows.name("imported", "svc", element)
    await rows.name("other", "svc", DESK_102)
    async with reading(rows.pool, pbx1=FakeServer()):
        await until(lambda: was_read(rows))
    assert await adoptable(rows) == [
        ("imported", "extensions", "102"),
        ("imported", "gateway", "aa-bb"),
    ]
    await rows.record(TRUNK)
    assert await adoptable(rows) == [("imported", "extensions", "102")]


@pytest.mark.parametrize(("listed", "expected"), [("101", ["102"]), ("102", [])])
async def test_the_rest_of_a_tenant_is_what_no_product_lists(
    rows: SuspenderTables, listed: str, expected: list[str]
) -> None:
    await rows.client("rest", profile=IMPORTED, services=())
    await rows.name("rest", "svc", Element("extensions", "shop.example", "*"))
    await rows.name("listing", "svc", Element("outbound", "shop.example", listed))
    async with reading(rows.pool, pbx1=FakeServer()):
        await until(lambda: was_read(rows))
    assert [element for _, _, element in await adoptable(rows)] == expected


async def test_elements_that_others_switched_off_are_shown(rows: SuspenderTables) -> None:
    server = FakeServer()
    did = ServerItem("did", "shop.example", "2265550100", enabled=False)
    same_number = ServerItem("extension", "bar.example", "102", "uuid-b", "", False)
    server.list = Inventory((*LIST.items, did, same_number))
    await rows.record(DESK_102)
    await rows.record(TRUNK, was_on=False)
    async with reading(rows.pool, pbx1=server):
        await until(lambda: was_read(rows))
    found = await rows.sql("select * from report.off_by_others order by kind, name")
    assert [(row["kind"], row["tenant"], row["name"]) for row in found] == [
        ("extension", "bar.example", "102"),
        ("gateway", "shop.example", "Carrier A"),
    ]
