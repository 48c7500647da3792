"""The suspender on a real database and a simulated PBX: decides, switches, reads back."""

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


NOT_HELD = """
insert into balance_watch.account (
    account_id, currency, outstanding_micro, profile_version, balance_micro, balance_version,
    level, held
) values ('1001', 'CAD', 0, 1, 5000000, 3, 'ok', false)
"""


class PbxHarness(SuspenderHarness):
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
async def harness(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PbxHarness]:
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    async with (
        simulator_process(tmp_path) as url,
        await open_pool(database, service="suspender", size=10) as pool,
    ):
        harness = PbxHarness(database, pool)
        harness.pbx_url = url
        await harness.client()
        yield harness


@pytest.fixture
async def drivers(harness: PbxHarness) -> AsyncIterator[Mapping[str, PbxDriver]]:
    async with open_drivers(harness.servers()) as drivers:
        yield drivers


async def test_a_hold_switches_off_and_its_end_switches_on(
    harness: PbxHarness, drivers: Mapping[str, PbxDriver]
) -> None:
    began, ended = harness.next_zero(), harness.next_restored()
    async with harness.working(drivers):
        await harness.send(began)
        await until(harness.is_confirmed)
        assert await harness.enabled() == {False}
        await harness.send(ended)
        await until(harness.is_confirmed)
        assert await harness.enabled() == {True}
    suspended, on_again = await harness.events()
    assert reasons([suspended]) == [(("funds",), True)]
    assert (suspended.hold, suspended.client_wide, suspended.mode) == (1, True, "auto")
    assert suspended.balance_micro == -UNIT
    assert (suspended.cause_id, on_again.cause_id) == (began.event_id, ended.event_id)
    assert await harness.topics() == [SERVICE_SUSPENDED.name, SERVICE_RESTORED.name]
    times = await harness.sql(
        "select t.wanted, t.correlation_id, t.wanted_at <= t.confirmed_at as in_order,"
        " t.confirmed_at from suspender.switch_time t order by wanted_seq"
    )
    assert [(row["wanted"], row["in_order"]) for row in times] == [
        ("suspended", True), ("active", True),
    ]  # fmt: skip
    assert [row["confirmed_at"] for row in times] == [
        suspended.confirmed_at, on_again.confirmed_at,
    ]  # fmt: skip


async def test_a_hold_that_ended_before_the_pbx_was_reached_sends_no_mail(
    harness: PbxHarness, drivers: Mapping[str, PbxDriver]
) -> None:
    await harness.zero()
    await harness.restored()
    async with harness.working(drivers):
        await until(harness.is_confirmed)
    assert await harness.enabled() == {True}
    assert await harness.topics() == [SERVICE_RESTORED.name]


async def test_a_hold_that_balance_watch_does_not_have_cuts_nobody_and_is_reported(
    harness: PbxHarness, drivers: Mapping[str, PbxDriver]
) -> None:
    """A program that can write to balance.zero must not be able to switch telephones off."""
    await harness.sql(NOT_HELD)
    await harness.zero()
    async with harness.working(drivers):
        await harness.until_alarm("suspension-failed")
        assert await harness.enabled() == {True}
        (failed,) = [e for e in await harness.events() if hasattr(e, "failed_at")]
        assert "balance-watch does not hold this client" in failed.reason
        await harness.sql("update balance_watch.account set held = true, level = 'exhausted'")
        await until(harness.is_confirmed, timeout_s=30)
        assert await harness.enabled() == {False}


async def test_an_order_by_hand_switches_off_without_a_hold(
    harness: PbxHarness, drivers: Mapping[str, PbxDriver]
) -> None:
    await harness.sql(NOT_HELD)
    await harness.zero()
    await harness.client(2, orders=(order("manual"),))
    async with harness.working(drivers):
        await until(harness.is_confirmed)
    assert await harness.enabled() == {False}


@pytest.mark.parametrize("end", ["restored", "exempt"])
async def test_a_suspension_that_is_obsolete_when_confirmed_owes_no_mail(
    harness: PbxHarness, end: str
) -> None:
    await harness.zero()
    (due,) = await harness.work.due("pbx1", "suspended", 8)
    if end == "restored":
        await harness.restored()
    else:
        await harness.client(2, orders=(order("exemption"),))
    await harness.work.confirm(due, "read back", harness.clock.now())
    assert reasons(await harness.suspensions()) == [(("funds",), False)]
    row = await harness.row()
    assert (row["wanted"], row["confirmed"]) == ("active", "suspended")
    assert len(await harness.work.due("pbx1", "active", 8)) == 1


async def test_manual_suspension_owes_no_mail_and_its_end_restores(
    harness: PbxHarness, drivers: Mapping[str, PbxDriver]
) -> None:
    async with harness.working(drivers):
        await harness.client(2, orders=(order("manual"),))
        await until(harness.is_confirmed)
        assert await harness.enabled() == {False}
        await harness.client(3)
        await until(harness.is_confirmed)
        assert await harness.enabled() == {True}
    (suspended,) = await harness.suspensions()
    assert (suspended.mode, suspended.zero_mail, suspended.hold) == ("manual", False, 0)


async def test_a_pbx_that_fails_is_tried_again_and_alarmed_once(
    harness: PbxHarness, drivers: Mapping[str, PbxDriver]
) -> None:
    await harness.misbehave(kind="status", value="500", times=5)
    await harness.zero()
    async with harness.working(drivers):
        await until(harness.is_confirmed, timeout_s=30)
    assert await harness.enabled() == {False}
    assert await harness.topics() == [SERVICE_SUSPENSION_FAILED.name, SERVICE_SUSPENDED.name]
    subject = "1001/svc-1001"
    assert await harness.alarms() == [
        ("suspension-failed", subject, "raised"),
        ("suspension-failed", subject, "ended"),
    ]


async def test_a_server_that_is_not_configured_needs_an_operator(harness: PbxHarness) -> None:
    await harness.zero()
    async with harness.working({}):
        await until(harness.topics)
    (failed,) = await harness.events()
    assert failed.wanted == "suspended"
    assert "no switch" in failed.reason
    (alarm,) = await harness.sql("select * from report.alarm")
    assert alarm["message"].startswith(
        "client 1001 (Ada North), product svc-1001 (PBX of 1001) on server pbx1:"
        " could not be switched off: server pbx1: no switch"
    )
    assert "ringfence services 1001" in alarm["what_to_do"]
    assert (alarm["account_id"], alarm["severity"]) == ("1001", "critical")
    assert not await harness.is_confirmed()


@pytest.mark.parametrize("end", ["restored", "gone"])
async def test_an_alarm_ends_when_the_failed_state_is_no_longer_desired(
    harness: PbxHarness, end: str
) -> None:
    await harness.zero()
    async with harness.working({}):
        await until(harness.alarms)
    if end == "restored":
        await harness.restored()
    else:
        await harness.send(profile(2, services=()))
    assert [state for _, _, state in await harness.alarms()] == ["raised", "ended"]


async def test_a_failure_of_an_obsolete_desired_state_is_not_recorded(harness: PbxHarness) -> None:
    await harness.zero()
    (due,) = await harness.work.due("pbx1", "suspended", 8)
    await harness.restored()
    now = harness.clock.now()
    failed = FailedService(due, "no answer", again_at=now, publish=True)
    await harness.work.finish(BatchResult("pbx1", failed=[failed]), now)
    assert await harness.outbox() == []
    assert (await harness.row())["attempts"] == 0


async def test_three_workers_share_a_pbx_and_never_flip_twice(
    harness: PbxHarness, drivers: Mapping[str, PbxDriver]
) -> None:
    """Two toggles by two workers would leave the service as it was."""
    for number in range(1, 7):
        async with harness.working(drivers, workers=3):
            await (harness.zero() if number % 2 else harness.restored())
            await until(harness.is_confirmed)
            assert await harness.enabled() == {number % 2 == 0}
    assert len(await harness.topics()) == 6
