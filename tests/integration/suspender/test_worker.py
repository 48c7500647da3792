"""The suspender on a real database and a protocol-true PBX: decided, switched, read back."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from ringfence.postgres.pool import open_pool
from ringfence_contracts.topics import (
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_SUSPENSION_FAILED,
)
from ringfence_pbx.servers import Servers
from ringfence_testing.wait import until
from suspender.drivers.driver import PbxDriver
from suspender.drivers.wiring import open_drivers
from suspender.rules.work import BatchResult, FailedService
from tests.support.fusionpbx import MCON, SUPER_KEY, simulator_process
from tests.support.suspender import UNIT, SuspenderHarness, order, profile, reasons

EXTENSIONS = {"tenant": MCON, "extensions": ("2112", "2113")}


class Room(SuspenderHarness):
    """The handler, its database and a simulated FusionPBX."""

    pbx_url = ""

    async def client(self, version: int = 1, **fields: Any) -> None:
        await self.profile(version, service=EXTENSIONS, **fields)

    def servers(self) -> Servers:
        return Servers.model_validate(
            {
                "servers": {
                    "pbx1": {
                        "kind": "fusionpbx",
                        "url": self.pbx_url,
                        "host": MCON,
                        "api_key": {"env": "TEST_FUSIONPBX_SUPER"},
                        "all_tenants": True,
                        "timeout_s": 5,
                    }
                }
            }
        )

    async def topics(self) -> list[str]:
        rows = await self.sql(
            "select topic from suspender.outbox where topic not like '%alarm%' order by id"
        )
        return [row["topic"] for row in rows]

    async def is_confirmed(self) -> bool:
        return not await self.sql("select from suspender.service where wanted_seq > confirmed_seq")

    async def enabled(self) -> set[bool]:
        async with httpx.AsyncClient(trust_env=False) as client:
            state = (await client.get(f"{self.pbx_url}/_sim/state")).json()
        return {e["enabled"] for e in state["extensions"] if e["domain"] == MCON}

    async def misbehave(self, **fault: object) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{self.pbx_url}/_sim/faults", content=json.dumps(fault))
        assert answer.is_success, answer.text


@pytest.fixture
async def room(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Room]:
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    async with (
        simulator_process(tmp_path) as url,
        await open_pool(database, service="suspender", size=10) as pool,
    ):
        room = Room(database, pool)
        room.pbx_url = url
        await room.client()
        yield room


@pytest.fixture
async def drivers(room: Room) -> AsyncIterator[Mapping[str, PbxDriver]]:
    async with open_drivers(room.servers()) as drivers:
        yield drivers


async def test_a_hold_switches_off_and_its_end_switches_on(
    room: Room, drivers: Mapping[str, PbxDriver]
) -> None:
    began, ended = room.next_zero(), room.next_restored()
    async with room.working(drivers):
        await room.send(began)
        await until(room.is_confirmed)
        assert await room.enabled() == {False}
        await room.send(ended)
        await until(room.is_confirmed)
        assert await room.enabled() == {True}
    suspended, on_again = await room.events()
    assert reasons([suspended]) == [(("funds",), True)]
    assert (suspended.hold, suspended.client_wide, suspended.mode) == (1, True, "auto")
    assert suspended.balance_micro == -UNIT
    assert (suspended.cause_id, on_again.cause_id) == (began.event_id, ended.event_id)
    assert await room.topics() == [SERVICE_SUSPENDED.name, SERVICE_RESTORED.name]


async def test_a_hold_that_ended_before_the_pbx_was_reached_sends_no_mail(
    room: Room, drivers: Mapping[str, PbxDriver]
) -> None:
    await room.zero()
    await room.restored()
    async with room.working(drivers):
        await until(room.is_confirmed)
    assert await room.enabled() == {True}
    assert await room.topics() == [SERVICE_RESTORED.name]


@pytest.mark.parametrize("end", ["restored", "exempt"])
async def test_a_suspension_that_is_obsolete_when_confirmed_owes_no_mail(
    room: Room, end: str
) -> None:
    await room.zero()
    (due,) = await room.work.due("pbx1", "suspended", 8)
    if end == "restored":
        await room.restored()
    else:
        await room.client(2, orders=(order("exemption"),))
    await room.work.confirm(due, "read back", room.clock.now())
    assert reasons(await room.suspensions()) == [(("funds",), False)]
    row = await room.row()
    assert (row["wanted"], row["confirmed"]) == ("active", "suspended")
    assert len(await room.work.due("pbx1", "active", 8)) == 1


async def test_manual_suspension_owes_no_mail_and_its_end_restores(
    room: Room, drivers: Mapping[str, PbxDriver]
) -> None:
    async with room.working(drivers):
        await room.client(2, orders=(order("manual"),))
        await until(room.is_confirmed)
        assert await room.enabled() == {False}
        await room.client(3)
        await until(room.is_confirmed)
        assert await room.enabled() == {True}
    (suspended,) = await room.suspensions()
    assert (suspended.mode, suspended.zero_mail, suspended.hold) == ("manual", False, 0)


async def test_a_pbx_that_fails_is_tried_again_and_alarmed_once(
    room: Room, drivers: Mapping[str, PbxDriver]
) -> None:
    await room.misbehave(kind="status", value="500", times=5)
    await room.zero()
    async with room.working(drivers):
        await until(room.is_confirmed, timeout_s=30)
    assert await room.enabled() == {False}
    assert await room.topics() == [SERVICE_SUSPENSION_FAILED.name, SERVICE_SUSPENDED.name]
    subject = "1001/svc-1001"
    assert await room.alarms() == [
        ("suspension-failed", subject, "raised"),
        ("suspension-failed", subject, "ended"),
    ]


async def test_a_server_that_is_not_configured_needs_an_operator(room: Room) -> None:
    await room.zero()
    async with room.working({}):
        await until(room.topics)
    (failed,) = await room.events()
    assert failed.wanted == "suspended"
    assert "no switch" in failed.reason
    (alarm,) = await room.sql("select * from report.alarm")
    assert alarm["message"].startswith(
        "client 1001 (Ada North), product svc-1001 (PBX of 1001) on server pbx1:"
        " could not be switched off: server pbx1: no switch"
    )
    assert "ringfence services 1001" in alarm["what_to_do"]
    assert (alarm["account_id"], alarm["severity"]) == ("1001", "critical")
    assert not await room.is_confirmed()


@pytest.mark.parametrize("end", ["restored", "gone"])
async def test_an_alarm_ends_when_the_failed_state_is_no_longer_desired(
    room: Room, end: str
) -> None:
    await room.zero()
    async with room.working({}):
        await until(room.alarms)
    if end == "restored":
        await room.restored()
    else:
        await room.send(profile(2, services=()))
    assert [state for _, _, state in await room.alarms()] == ["raised", "ended"]


async def test_a_failure_of_an_obsolete_desired_state_is_not_recorded(room: Room) -> None:
    await room.zero()
    (due,) = await room.work.due("pbx1", "suspended", 8)
    await room.restored()
    now = room.clock.now()
    failed = FailedService(due, "no answer", again_at=now, publish=True)
    await room.work.finish(BatchResult("pbx1", failed=[failed]), now)
    assert await room.outbox() == []
    assert (await room.row())["attempts"] == 0


async def test_three_workers_share_a_pbx_and_never_flip_twice(
    room: Room, drivers: Mapping[str, PbxDriver]
) -> None:
    """A toggle by two hands would leave the service as it was."""
    for number in range(1, 7):
        async with room.working(drivers, workers=3):
            await (room.zero() if number % 2 else room.restored())
            await until(room.is_confirmed)
            assert await room.enabled() == {number % 2 == 0}
    assert len(await room.topics()) == 6
