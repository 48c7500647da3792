"""Nothing is confirmed without an answer of the switch, and lists are narrowed by search."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import Service
from ringfence_doctor.examinations.fusionpbx import examine_export
from ringfence_pbx.errors import Refused
from ringfence_simulators.faults import Fault
from ringfence_simulators.fusionpbx.access.logins import ReleaseLine
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator, serve
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.seed import apply_seed
from ringfence_simulators.fusionpbx.things import Gateway, Route
from ringfence_testing.clock import FixedClock
from suspender.drivers.driver import OperatorMustAct
from suspender.drivers.fusionpbx.driver import FusionPbxDriver
from tests.support.fusionpbx import (
    ADMIN_KEY,
    MCON,
    SEED,
    SUPER_KEY,
    can_call,
    outcomes_of,
    restore,
    server_of,
    service_of,
    session_at,
    simulated,
    simulator_process,
    suspend,
)
from tests.support.narrow import present

CLOCK = FixedClock(datetime(2026, 11, 21, 10, 2, 3, tzinfo=UTC))
LIST = "/app/gateways/gateways.php"
COMMAND, STATUS = "/app/sip_status/cmd.php", "/app/sip_status/sip_status.php"
LEVELS = ["gateway", "extensions", "domain"]


class Process:
    """The simulator in a process of its own, used only by its control API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.AsyncClient(base_url=url)

    async def put(self, **switch: bool | float) -> None:
        (await self.http.put("/_sim/switch", json=switch)).raise_for_status()

    async def plan(self, **fault: int | str) -> None:
        (await self.http.post("/_sim/faults", json=fault)).raise_for_status()

    async def seed(self, **seed: Any) -> None:
        (await self.http.post("/_sim/seed", json=seed)).raise_for_status()

    async def toggle(self, kind: str, uuid: str) -> None:
        wanted = {"kind": kind, "uuid": uuid}
        (await self.http.post("/_sim/toggle", json=wanted)).raise_for_status()

    async def gateway(self, name: str = "Trunk A") -> dict[str, Any]:
        state = (await self.http.get("/_sim/state")).json()
        found: dict[str, Any] = next(g for g in state["gateways"] if g["name"] == name)
        return found

    async def can_call(self) -> bool:
        asked = {"extension": "2112", "domain": MCON}
        return bool((await self.http.get("/_sim/can-call", params=asked)).json()["can_call"])

    async def service(self, level: str, *names: str) -> Service:
        ids = [(await self.gateway(name))["uuid"] for name in names or ["Trunk A"]]
        return Service.model_validate(
            {"service_id": "svc-1", "name": "VoIP", "kind": "fusionpbx", "server_id": "pbx-1",
             "tenant": MCON, "extensions": ("2112",), "suspend_by": level,
             "gateway_ids": tuple(ids) if level == "gateway" else ()}
        )  # fmt: skip


@pytest.fixture(params=["5.5", "5.6"])
async def process(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Process]:
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    monkeypatch.setenv("TEST_FUSIONPBX_ADMIN", ADMIN_KEY)
    async with simulator_process(tmp_path, "--line", request.param) as url:
        process = Process(url)
        yield process
        await process.http.aclose()


@pytest.fixture
async def driver(process: Process) -> AsyncIterator[FusionPbxDriver | dict[str, bool]]:
    driver = FusionPbxDriver("pbx-1", server_of(process.url), clock=CLOCK)
    yield driver
    await driver.aclose()


@pytest.mark.parametrize("level", LEVELS)
async def test_without_the_event_socket_nothing_is_confirmed(
    process: Process, driver: FusionPbxDriver, level: str
) -> None:
    """The flag is stored, but calls go on: by the pages alone it would look like a success."""
    service = await process.service(level)
    assert await process.can_call()
    await process.put(event_socket=False)
    for _ in range(2):
        with pytest.raises(Retry, match=r"switch was not reached: its event socket is down"):
            await suspend(driver, service)
        assert await process.can_call()
    await process.put(event_socket=True)
    assert "disabled" in await suspend(driver, service)
    assert not await process.can_call()
    await process.put(event_socket=False)
    for _ in range(2):
        with pytest.raises(Retry, match=r"switch was not reached"):
            await restore(driver, service)
    await process.put(event_socket=True)
    await restore(driver, service)
    assert await process.can_call()


async def test_a_short_failure_of_the_event_socket_is_not_taken_for_success(
    process: Process, driver: FusionPbxDriver
) -> None:
    """It fails during a suspension and during a restore."""
    service = await process.service("gateway")
    await process.plan(kind="socket-down", path=STATUS)
    with pytest.raises(Retry, match=r"switch was not reached"):
        await suspend(driver, service)
    await suspend(driver, service)
    assert not (await process.gateway())["live"]
    await process.plan(kind="socket-down", path=LIST, times=3)
    await process.plan(kind="socket-down", path=COMMAND)
    with pytest.raises(Retry, match=r"switch was not reached: no answer to rescan"):
        await restore(driver, service)
    assert not (await process.gateway())["live"]
    await restore(driver, service)
    assert (await process.gateway())["live"]


@pytest.mark.parametrize("registration", ["REGED", "NOREG", "TRYING", "FAIL_WAIT"])
async def test_a_restore_is_confirmed_by_the_list_in_any_state(
    process: Process, driver: FusionPbxDriver, registration: str
) -> None:
    new = {"name": "Trunk X", "domain": MCON, "registration": registration}
    await process.seed(gateways=[new])
    service = await process.service("gateway", "Trunk X")
    await suspend(driver, service)
    assert await restore(driver, service) == (
        f"gateway Trunk X enabled, listed by the switch ({registration}), read back 10:02:03Z"
    )


async def test_an_admins_evidence_says_that_the_switch_was_not_asked(process: Process) -> None:
    driver = FusionPbxDriver("pbx-1", server_of(process.url, superadmin=False), clock=CLOCK)
    evidence = await suspend(driver, await process.service("extensions"))
    assert evidence == (
        "extension 2112 disabled, switch not asked (that is for superadmins), read back 10:02:03Z"
    )
    await driver.aclose()


async def test_a_sip_profile_that_the_switch_does_not_have_needs_a_person(
    process: Process,
) -> None:
    server = server_of(process.url, sip_profile="outside")
    driver = FusionPbxDriver("pbx-1", server, clock=CLOCK)
    async with session_at(process.url) as session:
        await session.killgw("external", (await process.gateway())["uuid"])
    with pytest.raises(OperatorMustAct, match=r"no such SIP profile.*correct sip_profile"):
        await restore(driver, await process.service("gateway"))
    await driver.aclose()


async def test_a_gateway_of_another_profile_is_switched_in_its_own(
    process: Process, driver: FusionPbxDriver
) -> None:
    await process.seed(gateways=[{"name": "Trunk Y", "domain": MCON, "profile": "internal"}])
    service = await process.service("gateway", "Trunk Y")
    await suspend(driver, service)
    assert not (await process.gateway("Trunk Y"))["live"]
    await restore(driver, service)
    assert (await process.gateway("Trunk Y"))["live"]


async def test_a_gateway_of_another_profile_that_runs_though_disabled_is_killed_in_its_own(
    process: Process, driver: FusionPbxDriver
) -> None:
    """The state that a person's toggle leaves behind."""
    await process.seed(gateways=[{"name": "Trunk Y", "domain": MCON, "profile": "internal"}])
    uuid = (await process.gateway("Trunk Y"))["uuid"]
    await process.toggle("gateways", uuid)
    assert (await process.gateway("Trunk Y"))["live"]
    await suspend(driver, await process.service("gateway", "Trunk Y"))
    assert not (await process.gateway("Trunk Y"))["live"]


async def test_a_leftover_answer_is_not_taken_for_a_later_one(
    process: Process,
) -> None:
    uuid = (await process.gateway())["uuid"]
    async with session_at(process.url) as session:
        await session.status()
        await process.plan(kind="status", path=STATUS, value="500")
        with pytest.raises(Retry, match="status 500"):
            await session.cache_flush()
        await process.plan(kind="socket-down", path=COMMAND)
        with pytest.raises(Retry, match="no answer to killgw"):
            await session.killgw("external", uuid)


async def test_a_message_is_not_lost_to_another_page_of_the_same_session(process: Process) -> None:
    """Lists of gateways and domains are read at the same time as commands, in one login."""
    uuid = (await process.gateway())["uuid"]
    async with session_at(process.url) as session:
        await session.status()
        await asyncio.gather(
            *(session.list_rows("domains") for _ in range(4)),
            *(session.cache_flush() for _ in range(4)),
            *(session.list_rows("gateways", all_tenants=True) for _ in range(4)),
            *(session.killgw("external", uuid) for _ in range(4)),
        )


async def test_a_list_of_many_gateways_is_narrowed(
    process: Process, driver: FusionPbxDriver
) -> None:
    """A whole list of 80 rows at 0.5 s is longer than any request may take."""
    await process.seed(gateways=[{"name": f"Customer-{n:04d}", "domain": MCON} for n in range(80)])
    service = await process.service("gateway", "Customer-0042", "Customer-0077")
    await process.put(row_s=0.5)
    for act in (suspend, restore):
        await act(driver, service)
    assert (await process.gateway("Customer-0042"))["live"]


async def test_the_simulator_can_slow_down_one_list(process: Process) -> None:
    async with session_at(process.url) as session:
        await session.status()
        await process.plan(kind="slow-rows", path="/app/gateways", value="0.3")
        began = time.monotonic()
        await session.list_rows("gateways", all_tenants=True)
        assert time.monotonic() - began >= 0.6


@pytest.mark.parametrize(
    "name", ["100%", "a_b", "x\\y", "Ünï", "O'Brien & <Co>", "Trunk A", "  two  ", "#1?&page=7"]
)
async def test_a_gateway_of_any_name_is_found(
    process: Process, driver: FusionPbxDriver, name: str
) -> None:
    await process.seed(gateways=[{"name": name, "domain": "other.example.com"}])
    state = (await process.http.get("/_sim/state")).json()
    uuid = next(g["uuid"] for g in state["gateways"] if g["domain"] == "other.example.com")
    service = replace_ids(await process.service("gateway"), uuid)
    await suspend(driver, service)
    await restore(driver, service)
    await suspend(driver, service)
    assert [g["enabled"] for g in (await process.http.get("/_sim/state")).json()["gateways"]] == [
        True, True, False,
    ]  # fmt: skip


def replace_ids(service: Service, *uuids: str) -> Service:
    return service.model_copy(update={"gateway_ids": uuids})


async def test_a_gateway_that_was_renamed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulated(monkeypatch) as pbx:
        driver = FusionPbxDriver("pbx-1", server_of(pbx.url), clock=CLOCK)
        service = service_of(pbx, "gateway")
        await suspend(driver, service)
        pbx.pbx.gateways[service.gateway_ids[0]].name = "Renamed"
        assert "gateway Renamed enabled" in await restore(driver, service)
        await driver.aclose()


async def test_more_gateways_than_are_searched_for_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with simulated(monkeypatch, rows_per_page=3) as pbx:
        for number in range(9):
            pbx.pbx.add_gateway(Gateway(f"Many {number}", domain=MCON))
        many = [g.uuid for g in pbx.pbx.gateways.values() if g.name.startswith("Many")]
        driver = FusionPbxDriver("pbx-1", server_of(pbx.url), clock=CLOCK)
        await suspend(driver, replace_ids(service_of(pbx, "gateway"), *many))
        assert not any(pbx.pbx.gateways[uuid].live for uuid in many)
        assert can_call(pbx)
        await driver.aclose()


async def test_killgw_comes_before_the_toggle_and_lists_are_narrowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disabled gateway cannot be stopped from its list. Each list has one row."""
    async with simulated(monkeypatch) as pbx:
        seen: list[str] = []
        for owner, method in ((pbx.site, "_toggle"), (pbx.site, "_list"), (pbx.pbx, "command")):
            noted(owner, method, seen, monkeypatch)
        driver = FusionPbxDriver("pbx-1", server_of(pbx.url), clock=CLOCK)
        await suspend(driver, service_of(pbx, "gateway"))
        assert seen == ["_list", "command", "_toggle", "_list"]
        await driver.aclose()


async def test_a_truncated_page_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The running gateway is listed in the half that is missing."""
    async with simulated(monkeypatch) as pbx:
        for number in range(30):
            last = pbx.pbx.add_gateway(Gateway(f"Many {number:02d}", domain=MCON))
        monkeypatch.setattr(pbx.pbx, "kill_gateway", lambda *_: None)
        driver = FusionPbxDriver("pbx-1", server_of(pbx.url), clock=CLOCK)
        service = replace_ids(service_of(pbx, "gateway"), last.uuid)
        pbx.faults.planned = [Fault("cut-quiet", STATUS, times=99)]
        with pytest.raises(Retry, match="SIP status broke off"):
            await suspend(driver, service)
        assert last.live
        pbx.faults.planned = [Fault("cut-quiet", "/app/extensions")]
        with pytest.raises(Retry, match="the list of extensions broke off"):
            await driver.extensions_of(MCON)
        await driver.aclose()


def noted(owner: object, method: str, seen: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = getattr(owner, method)

    def noting(*given: Any) -> Any:
        seen.append(method)
        return real(*given)

    monkeypatch.setattr(owner, method, noting)


async def test_the_doctor_fails_a_pbx_whose_switch_cannot_be_reached(process: Process) -> None:
    await process.put(event_socket=False)
    findings = [f async for f in examine_export("pbx-1", server_of(process.url), CLOCK)]
    (page,) = [finding for finding in findings if finding.check == "switch page"]
    assert page.state == "fail"
    assert "event socket is down" in page.message


STEPS = st.lists(st.sampled_from(["suspend", "restore"]), min_size=1, max_size=4)
WAYS = [*LEVELS, "gateways", "outbound"]
TROUBLE = {
    "socket-down": Fault("socket-down", "/"),
    "status": Fault("status", "/", "503"),
    "drop": Fault("drop", "/"),
    "lie": Fault("toggle-lies"),
    # During a login these would look like a refused key, which is not retried for 60 s.
    "cut-gateways": Fault("cut-quiet", "/app/gateways"),
    "cut-extensions": Fault("cut-quiet", "/app/extensions"),
    "cut-status": Fault("cut-quiet", "/app/sip_status"),
    "forget": Fault("forget", "/app/sip_status"),
    "none": Fault("slow", "/", "0"),
}
TROUBLES = st.lists(st.sampled_from([*TROUBLE, "none", "none"]), max_size=30)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    way=st.sampled_from(WAYS),
    steps=STEPS,
    troubles=TROUBLES,
    line=st.sampled_from(["5.5", "5.6"]),
)
@example(way="extensions", steps=["suspend"], troubles=["none"] * 7 + ["socket-down"], line="5.5")
def test_what_is_confirmed_is_true_whichever_request_fails(
    way: str, steps: list[str], troubles: list[str], line: ReleaseLine
) -> None:
    """Each request in turn has one of the faults; confirmations are compared with the switch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
        patch.setattr("suspender.drivers.fusionpbx.trunks.PAUSE_S", 0.0)
        asyncio.run(story(way, steps, [replace(TROUBLE[kind]) for kind in troubles], line))


def product_of(simulator: FusionPbxSimulator, way: str) -> Service:
    """With `gateways`: so many that they are not searched one by one."""
    if way == "outbound":
        return service_of(simulator, outbound_only=True)
    if way != "gateways":
        return service_of(simulator, way)
    ids = [g.uuid for g in simulator.pbx.gateways.values() if g.name != "Trunk B"]
    return service_of(simulator, "gateway", gateway_ids=tuple(ids))


async def story(way: str, steps: list[str], faults: list[Fault], line: ReleaseLine) -> None:
    pbx = SimulatedFusionPbx()
    apply_seed(pbx, SEED)
    for number in range(7):
        pbx.add_gateway(Gateway(f"Many {number}", domain=MCON))
    pbx.add_route(Route("out", toll_allow="local"))
    present(pbx.find_extension("2112", MCON)).toll_allow = "domestic:local"
    async with serve(pbx, line=line) as simulator:
        assert can_call(simulator), "and its directory entry is cached"
        simulator.faults.planned = faults
        driver = FusionPbxDriver("pbx-1", server_of(simulator.url), clock=CLOCK)
        service = product_of(simulator, way)
        for step in [*steps, "suspend", "restore"]:
            await until_confirmed(driver, service, off=step == "suspend")
            assert can_call(simulator) is (step == "restore")
            if way == "gateways":
                gateways = [pbx.gateways[uuid] for uuid in service.gateway_ids]
                assert {g.live for g in gateways} == {step == "restore"}
                assert {g.enabled for g in gateways} == {step == "restore"}
        assert present(pbx.find_extension("2112", MCON)).toll_allow == "domestic:local"
        await driver.aclose()


async def until_confirmed(driver: FusionPbxDriver, service: Service, *, off: bool) -> None:
    """Retry each element that failed; confirmed ones are not switched again."""
    values = {"2112": "domestic:local"}
    for _ in range(60):
        try:
            outcomes = await outcomes_of(driver, service, off=off, values=values)
        except (Retry, Refused, OperatorMustAct):
            continue
        if not any(isinstance(outcome, Exception) for outcome in outcomes.values()):
            return
    raise AssertionError("was never confirmed")
