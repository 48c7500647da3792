"""Sources that are down, slow or wrong are backed off and published once; no call is lost."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ringfence_contracts.topics import SOURCE_FAILED, SOURCE_RECOVERED
from ringfence_simulators.faults import Fault
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_simulators.fusionpbx.things import User
from ringfence_testing.wait import until
from tests.support.cdr_ingest import Ear, ear, ingest, rows, servers_toml
from tests.support.fusionpbx import MCON, RUCKEN, outbound, simulated

EXPORT = "/app/xml_cdr"
FOR_EVER = 10**6


@pytest.fixture
async def pair(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[FusionPbxSimulator, FusionPbxSimulator]]:
    """Two PBXs with running clocks."""
    async with (
        simulated(monkeypatch, clock=time.time) as first,
        simulated(monkeypatch, clock=time.time, line="5.6") as second,
    ):
        yield first, second


@pytest.fixture
def ids() -> tuple[str, str]:
    """Server ids that no other test uses."""
    return f"sick-{uuid.uuid4().hex[:8]}", f"well-{uuid.uuid4().hex[:8]}"


def entry(simulator: FusionPbxSimulator, **changed: Any) -> dict[str, Any]:
    return {
        "kind": "fusionpbx",
        "url": simulator.url,
        "host": MCON,
        "api_key": {"env": "TEST_FUSIONPBX_SUPER"},
        "all_tenants": True,
        "poll_s": 0.05,
        "timeout_s": 0.5,
        **changed,
    }


def place(simulator: FusionPbxSimulator, **changed: Any) -> str:
    return simulator.pbx.place(outbound(**changed)).columns["xml_cdr_uuid"]


FAULTS = [
    Fault("status", "/", "500"),
    Fault("status", EXPORT, "503"),
    Fault("status", EXPORT, "429"),
    Fault("slow", "/", "30"),
    Fault("cut", EXPORT),
    Fault("cut-quiet", EXPORT),
    Fault("drop", "/"),
    Fault("html", "/", "<h1>Down for maintenance</h1>"),
    Fault("redirect", "/", "/elsewhere"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.kind}-{f.value[:3]}")
async def test_an_outage_is_published_once_affects_no_other_source_and_loses_no_call(
    fault: Fault,
    pair: tuple[FusionPbxSimulator, FusionPbxSimulator],
    ids: tuple[str, str],
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
) -> None:
    sick, well = pair
    file = servers_toml(tmp_path, **{ids[0]: entry(sick), ids[1]: entry(well)})
    async with (
        ear(kafka_bootstrap) as heard,
        ingest(kafka_bootstrap, database, file),
    ):
        before = place(sick)
        await until(lambda: heard_all(heard, ids[0], {before}), what="the first call")
        sick.faults.planned = [Fault(fault.kind, fault.path, fault.value, FOR_EVER)]
        missed = {place(sick, billsec=number + 1) for number in range(5)}
        failed = await until(lambda: heard.events(SOURCE_FAILED, ids[0]), what="the outage")
        elsewhere = {place(well) for _ in range(5)}
        await until(lambda: heard_all(heard, ids[1], elsewhere), what="the other source's calls")
        await until(lambda: sick.faults.planned[0].times < FOR_EVER - 12, timeout_s=20)
        sick.faults.planned.clear()
        await until(lambda: heard_all(heard, ids[0], {before, *missed}), what="what was missed")
        recovered = await until(lambda: heard.events(SOURCE_RECOVERED, ids[0]), what="the end")
        assert len(await heard.events(SOURCE_FAILED, *ids)) == len(failed) == 1
        assert sorted(await heard.call_ids(*ids)) == sorted({before, *missed, *elsewhere})
    assert failed[0].failures == 3
    assert failed[0].outage_id == recovered[0].outage_id
    assert failed[0].failed_at < failed[0].told_at < recovered[0].recovered_at
    assert await outages(database) == [(ids[0], True)]


async def heard_all(heard: Ear, server_id: str, wanted: set[str]) -> bool:
    return set(await heard.call_ids(server_id)) >= wanted


async def outages(dsn: str) -> list[tuple[Any, ...]]:
    found = await rows(
        dsn, "select server_id, recovered_at is not null as over from report.source_outage"
    )
    return [tuple(row) for row in found]


async def test_one_failed_poll_is_no_outage(
    pair: tuple[FusionPbxSimulator, FusionPbxSimulator],
    ids: tuple[str, str],
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
) -> None:
    sick, _ = pair
    file = servers_toml(tmp_path, **{ids[0]: entry(sick)})
    async with ear(kafka_bootstrap) as heard, ingest(kafka_bootstrap, database, file):
        sick.faults.planned = [Fault("status", EXPORT, "500", times=2)]
        wanted = place(sick)
        await until(lambda: heard_all(heard, ids[0], {wanted}))
    assert await outages(database) == []


async def test_a_refusal_is_published_at_once_and_its_outage_survives_a_restart(
    pair: tuple[FusionPbxSimulator, FusionPbxSimulator],
    ids: tuple[str, str],
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first process publishes its beginning, the next one its end."""
    sick, _ = pair
    monkeypatch.setenv("TEST_FUSIONPBX_WRONG", "wrong" * 10)
    wrong = servers_toml(tmp_path, **{ids[0]: entry(sick, api_key={"env": "TEST_FUSIONPBX_WRONG"})})
    async with ear(kafka_bootstrap) as heard:
        for start in range(1, 3):
            async with ingest(kafka_bootstrap, database, wrong):
                await until(partial(has_refused, sick, start))
                await until(lambda: outages(database))
                await until(lambda: heard.events(SOURCE_FAILED, ids[0]))
                await until(lambda: no_outbox(database))
        right = servers_toml(tmp_path, **{ids[0]: entry(sick)})
        async with ingest(kafka_bootstrap, database, right):
            await until(lambda: heard.events(SOURCE_RECOVERED, ids[0]))
        failed = await heard.events(SOURCE_FAILED, ids[0])
        assert len(failed) == 1
        assert "refuses the api key" in failed[0].reason
    assert sick.logins.failed == 2, "one login for each start: FusionPBX bans for more"


def has_refused(pbx: FusionPbxSimulator, logins: int) -> bool:
    """Whether the PBX has refused so many logins."""
    return pbx.logins.failed >= logins


async def no_outbox(dsn: str) -> bool:
    return not await rows(dsn, "select 1 from cdr_ingest.outbox")


async def test_a_server_that_asks_for_a_pause_is_not_asked_until_it_ends(
    pair: tuple[FusionPbxSimulator, FusionPbxSimulator],
    ids: tuple[str, str],
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In all of its feeds, though only one of them received the header."""
    sick, well = pair
    key = "tenants-key-0123456789-0123456789-0123456789"
    for tenant in (MCON, RUCKEN):
        sick.pbx.add_user(User("both", tenant, key))
    monkeypatch.setenv("TEST_FUSIONPBX_BOTH", key)
    two_feeds = entry(sick, api_key={"env": "TEST_FUSIONPBX_BOTH"}, tenants=[MCON, RUCKEN])
    two_feeds["all_tenants"] = False
    del two_feeds["host"]
    file = servers_toml(tmp_path, **{ids[0]: two_feeds, ids[1]: entry(well)})
    async with ear(kafka_bootstrap) as heard:
        sick.faults.planned = [Fault("status", "/login.php", "429 5")]
        began = time.monotonic()

        def answered() -> bool:
            nonlocal began
            if sick.faults.planned:
                began = time.monotonic()
            return not sick.faults.planned

        answer = asyncio.create_task(until(answered))  # it may come before the service has begun
        async with ingest(kafka_bootstrap, database, file):
            await answer
            asked = sick.faults.planned = [Fault("slow", "/", "0", FOR_EVER)]
            other = place(well)
            await until(lambda: heard_all(heard, ids[1], {other}))
            await until(lambda: time.monotonic() - began > 2, what="what was under way ends")
            left, wanted = asked[0].times, place(sick)
            await until(lambda: time.monotonic() - began > 3.5)
            asked_again = asked[0].times != left
            assert not asked_again or time.monotonic() - began > 5, "no request during the pause"
            await until(lambda: heard_all(heard, ids[0], {wanted}))
            assert time.monotonic() - began > 4.5
