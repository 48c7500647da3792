"""The suspender on a real database and a protocol-true PBX: decided, switched, read back, told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from fusionpbx_harness import MCON, SUPER_KEY, simulator_process

from ringfence.clock import SystemClock
from ringfence.events.balance import BalanceRestored, BalanceZero
from ringfence.events.model import EventData
from ringfence.ids import derive
from ringfence.observe.health import Progress
from ringfence.pbx.servers import Servers
from ringfence.postgres.pool import open_pool
from ringfence.testing.records import NOON, account, received
from ringfence.testing.wait import until
from ringfence.topics import (
    ACCOUNT_CHANGED,
    BALANCE_RESTORED,
    BALANCE_ZERO,
    BY_NAME,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_SUSPENSION_FAILED,
)
from suspender.service import Suspender
from suspender.settings import Settings
from suspender.store import SuspenderStore
from suspender.switches import open_switches
from suspender.worker import Worker

UNIT = 1_000_000
SETTINGS = Settings(suspender_poll_s=0.05, suspender_backoff_max_s=0.2, suspender_breaker_s=0.3)


class Room:
    """The handler, its database and a PBX."""

    def __init__(self, dsn: str, store: SuspenderStore, pbx_url: str) -> None:
        self.dsn = dsn
        self.store = store
        self.pbx_url = pbx_url
        self.suspender = Suspender(store=store, woken=asyncio.Event())

    async def tell(self, topic, data: EventData) -> None:
        outcome = await self.suspender.handle([received(topic, data)])
        assert outcome.reject == []

    async def profile(self, version: int = 1, **fields: object) -> None:
        service = {"tenant": MCON, "extensions": ("2112", "2113"), **fields.pop("service", {})}
        await self.tell(ACCOUNT_CHANGED, account(version=version, service=service, **fields))

    async def zero(self, crossing: int, balance_micro: int = -UNIT) -> None:
        await self.tell(
            BALANCE_ZERO, BalanceZero(**facts(crossing, balance_micro), reason="credit")
        )

    async def restored(self, crossing: int, balance_micro: int = 20 * UNIT) -> None:
        levels = {"level_before": "exhausted", "level": "ok"}
        await self.tell(
            BALANCE_RESTORED, BalanceRestored(**facts(crossing, balance_micro), **levels)
        )

    @asynccontextmanager
    async def working(self, workers: int = 1, servers: Servers | None = None) -> AsyncIterator:
        async with open_switches(servers or self.servers()) as switches:
            stop = asyncio.Event()
            running = [
                asyncio.create_task(
                    Worker(
                        store=self.store,
                        switches=switches,
                        clock=SystemClock(),
                        settings=SETTINGS,
                        progress=Progress("worker"),
                    ).run(stop)
                )
                for _ in range(workers)
            ]
            try:
                yield
            finally:
                stop.set()
                await asyncio.gather(*running)

    def servers(self, url: str = "") -> Servers:
        return Servers.model_validate(
            {
                "servers": {
                    "pbx1": {
                        "kind": "fusionpbx",
                        "url": url or self.pbx_url,
                        "host": MCON,
                        "api_key": {"env": "TEST_FUSIONPBX_SUPER"},
                        "all_tenants": True,
                        "timeout_s": 5,
                    }
                }
            }
        )

    async def sql(self, query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()

    async def told(self) -> list[EventData]:
        """What stands in the outbox, in its order."""
        rows = await self.sql("select topic, value from suspender.outbox order by id")
        return [BY_NAME[row["topic"]].data.model_validate_json(row["value"]) for row in rows]

    async def topics(self) -> list[str]:
        rows = await self.sql("select topic from suspender.outbox order by id")
        return [row["topic"] for row in rows]

    async def settled(self) -> bool:
        rows = await self.sql("select * from suspender.service where wanted_seq > confirmed_seq")
        return not rows

    async def enabled(self) -> set[bool]:
        async with httpx.AsyncClient(trust_env=False) as client:
            state = (await client.get(f"{self.pbx_url}/_sim/state")).json()
        return {e["enabled"] for e in state["extensions"] if e["domain"] == MCON}

    async def misbehave(self, **fault: object) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{self.pbx_url}/_sim/faults", content=json.dumps(fault))
        assert answer.is_success, answer.text


def facts(crossing: int, balance_micro: int) -> dict[str, object]:
    return {
        "account_id": "1001",
        "crossing": crossing,
        "balance_version": crossing,
        "balance_micro": balance_micro,
        "outstanding_micro": 0,
        "threshold_micro": None,
        "currency": "CAD",
        "occurred_at": NOON,
    }


@pytest.fixture
async def room(database: str, tmp_path, monkeypatch) -> AsyncIterator[Room]:
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    async with (
        simulator_process(tmp_path) as url,
        await open_pool(database, service="suspender", size=10) as pool,
    ):
        room = Room(database, SuspenderStore(pool), url)
        await room.profile()
        yield room


async def test_zero_switches_off_and_a_top_up_switches_on_each_told_once(room: Room) -> None:
    async with room.working():
        await room.zero(1)
        await until(room.settled)
        assert await room.enabled() == {False}
        await room.restored(2)
        await until(room.settled)
        assert await room.enabled() == {True}
    suspended, restored = await room.told()
    assert suspended.zero_mail
    assert suspended.balance_micro == -UNIT
    assert suspended.cause_id == await cause_of(room, BALANCE_ZERO, suspended)
    assert restored.mode == "auto"
    assert await room.topics() == [SERVICE_SUSPENDED.name, SERVICE_RESTORED.name]


async def cause_of(room: Room, topic, suspended):
    event = BalanceZero(**facts(1, -UNIT), reason="credit")
    return derive("test", topic.name, event.to_json())


async def test_the_same_event_again_and_an_older_one_change_nothing(room: Room) -> None:
    async with room.working():
        await room.zero(3)
        await room.zero(3)
        await room.restored(2)
        await until(room.settled)
        assert await room.enabled() == {False}
    assert await room.topics() == [SERVICE_SUSPENDED.name]


async def test_a_change_of_mind_before_the_pbx_was_reached_sends_no_mail(room: Room) -> None:
    await room.zero(1)
    await room.restored(2)
    async with room.working():
        await until(room.settled)
    assert await room.enabled() == {True}
    assert await room.topics() == [SERVICE_RESTORED.name]


async def test_manual_suspension_beats_funds_and_owes_no_mail(room: Room) -> None:
    async with room.working():
        await room.restored(1)
        await room.profile(2, profile={"manual_voip_suspend": "Yes"})
        await until(room.settled)
    (suspended,) = await room.told()
    assert (suspended.mode, suspended.zero_mail) == ("manual", False)
    assert await room.enabled() == {False}


async def test_an_end_of_manual_suspension_restores_a_client_with_funds(room: Room) -> None:
    async with room.working():
        await room.restored(1)
        await room.profile(2, profile={"manual_voip_suspend": "Yes"})
        await until(room.settled)
        await room.profile(3)
        await until(room.settled)
        assert await room.enabled() == {True}


async def test_a_client_met_suspended_is_restored_only_with_funds(room: Room) -> None:
    """An imported Yes is taken as ours."""
    await room.profile(2, account_id="1002", profile={"voip_suspended": "Yes"})
    rows = await room.sql("select wanted from suspender.service where account_id = '1002'")
    assert [row["wanted"] for row in rows] == ["suspended"]


async def test_an_unwell_pbx_is_tried_again_and_told_once(room: Room) -> None:
    await room.misbehave(kind="status", value="500", times=5)
    await room.zero(1)
    async with room.working():
        await until(room.settled, timeout_s=30)
    assert await room.enabled() == {False}
    assert await room.topics() == [SERVICE_SUSPENSION_FAILED.name, SERVICE_SUSPENDED.name]


async def test_a_server_that_nobody_configured_needs_an_operator(room: Room) -> None:
    await room.zero(1)
    async with room.working(servers=Servers(servers={})):
        await until(room.topics)
    (failed,) = await room.told()
    assert failed.wanted == "suspended"
    assert "no switch" in failed.reason
    assert not await room.settled()


async def test_three_workers_share_a_pbx_and_never_flip_twice(room: Room) -> None:
    """A toggle by two hands would leave the service as it was."""
    for crossing in range(1, 7):
        async with room.working(workers=3):
            await (room.zero(crossing) if crossing % 2 else room.restored(crossing))
            await until(room.settled)
            assert await room.enabled() == {crossing % 2 == 0}
    assert len(await room.topics()) == 6
