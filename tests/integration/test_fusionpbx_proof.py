"""Nothing is confirmed without proof that the switch was reached, and lists are narrowed."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from fusionpbx_harness import (
    ADMIN_KEY,
    MCON,
    SEED,
    SUPER_KEY,
    can_call,
    server_of,
    service_of,
    session_at,
    simulated,
    simulator_process,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cdr_ingest.sources.fusionpbx_examination import examine_export
from ringfence.errors import Retry
from ringfence.events.account import Service
from ringfence.pbx.fusionpbx import Refused
from ringfence.testing.clock import FixedClock
from ringfence_simulators.fusionpbx.app import serve
from ringfence_simulators.fusionpbx.faults import Fault
from ringfence_simulators.fusionpbx.model import Gateway, Pbx
from ringfence_simulators.fusionpbx.seed import apply_seed
from suspender.drivers import OperatorMustAct
from suspender.drivers.fusionpbx_switch import FusionPbxSwitch

CLOCK = FixedClock(datetime(2026, 11, 21, 10, 2, 3, tzinfo=UTC))
COMMAND, STATUS = "/app/sip_status/cmd.php", "/app/sip_status/sip_status.php"
LEVELS = ["gateway", "extensions", "domain"]


class Process:
    """The simulator as a process of its own, worked by its controls alone."""

    def __init__(self, url):
        self.url = url
        self.http = httpx.AsyncClient(base_url=url)

    async def put(self, **switch):
        (await self.http.put("/_sim/switch", json=switch)).raise_for_status()

    async def plan(self, **fault):
        (await self.http.post("/_sim/faults", json=fault)).raise_for_status()

    async def seed(self, **seed):
        (await self.http.post("/_sim/seed", json=seed)).raise_for_status()

    async def gateway(self, name="Trunk A"):
        state = (await self.http.get("/_sim/state")).json()
        return next(g for g in state["gateways"] if g["name"] == name)

    async def can_call(self):
        asked = {"extension": "2112", "domain": MCON}
        return (await self.http.get("/_sim/can-call", params=asked)).json()["can_call"]

    async def service(self, level, *names):
        ids = [(await self.gateway(name))["uuid"] for name in names or ["Trunk A"]]
        return Service.model_validate(
            {"service_id": "svc-1", "name": "VoIP", "kind": "fusionpbx", "server_id": "pbx-1",
             "tenant": MCON, "extensions": ("2112",), "suspend_by": level,
             "gateway_ids": tuple(ids) if level == "gateway" else ()}
        )  # fmt: skip


@pytest.fixture(params=["5.5", "5.6"])
async def process(request, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    monkeypatch.setenv("TEST_FUSIONPBX_ADMIN", ADMIN_KEY)
    async with simulator_process(tmp_path, "--line", request.param) as url:
        process = Process(url)
        yield process
        await process.http.aclose()


@pytest.fixture
async def switch(process):
    switch = FusionPbxSwitch("pbx-1", server_of(process.url), clock=CLOCK)
    yield switch
    await switch.aclose()


@pytest.mark.parametrize("level", LEVELS)
async def test_without_the_event_socket_nothing_is_confirmed(process, switch, level):
    """The flag is stored, and the calls go on: the pages alone would look like a success."""
    service = await process.service(level)
    assert await process.can_call()
    await process.put(event_socket=False)
    for _ in range(2):
        with pytest.raises(Retry, match=r"switch was not reached: its event socket is down"):
            await switch.suspend(service)
        assert await process.can_call()
    await process.put(event_socket=True)
    assert "disabled" in await switch.suspend(service)
    assert not await process.can_call()
    await process.put(event_socket=False)
    for _ in range(2):
        with pytest.raises(Retry, match=r"switch was not reached"):
            await switch.restore(service)
    await process.put(event_socket=True)
    await switch.restore(service)
    assert await process.can_call()


@pytest.mark.parametrize("path", [COMMAND, STATUS])
async def test_the_event_socket_failing_once_at_the_command_or_after_it(process, switch, path):
    service = await process.service("gateway")
    await process.plan(kind="socket-down", path=path)
    with pytest.raises(Retry, match=r"switch was not reached"):
        await switch.suspend(service)
    await switch.suspend(service)
    assert not (await process.gateway())["live"]
    await process.plan(kind="socket-down", path=path)
    with pytest.raises(Retry, match=r"switch was not reached"):
        await switch.restore(service)
    await switch.restore(service)
    assert (await process.gateway())["live"]


@pytest.mark.parametrize("registration", ["REGED", "NOREG", "TRYING", "FAIL_WAIT"])
async def test_a_restore_is_confirmed_by_the_list_in_whatever_state(process, switch, registration):
    new = {"name": "Trunk X", "domain": MCON, "registration": registration}
    await process.seed(gateways=[new])
    service = await process.service("gateway", "Trunk X")
    await switch.suspend(service)
    assert await switch.restore(service) == (
        "gateway Trunk X enabled, rescan answered external +OK scan complete, "
        f"listed by the switch ({registration}), read back 10:02:03Z"
    )


async def test_an_admins_evidence_says_that_the_switch_was_not_asked(process):
    switch = FusionPbxSwitch("pbx-1", server_of(process.url, superadmin=False), clock=CLOCK)
    evidence = await switch.suspend(await process.service("extensions"))
    assert evidence == (
        "extensions 2112 disabled, switch not asked (that is for superadmins), read back 10:02:03Z"
    )
    await switch.aclose()


async def test_a_sip_profile_that_the_switch_does_not_have_is_for_a_person(process):
    server = server_of(process.url, sip_profile="outside")
    switch = FusionPbxSwitch("pbx-1", server, clock=CLOCK)
    with pytest.raises(OperatorMustAct, match=r"no such SIP profile.*correct sip_profile"):
        await switch.suspend(await process.service("gateway"))
    await switch.aclose()


async def test_a_gateway_of_another_profile_is_still_live_and_not_confirmed(
    process, switch, monkeypatch
):
    monkeypatch.setattr("suspender.drivers.fusionpbx._PAUSE_S", 0.0)
    await process.seed(gateways=[{"name": "Trunk Y", "domain": MCON, "profile": "internal"}])
    with pytest.raises(Retry, match=r"Trunk Y disabled, but still live after killgw"):
        await switch.suspend(await process.service("gateway", "Trunk Y"))


async def test_an_answer_left_over_from_a_failure_does_not_pass_for_a_later_one(process):
    uuid = (await process.gateway())["uuid"]
    async with session_at(process.url) as session:
        await session.status()
        await process.plan(kind="status", path=STATUS, value="500")
        with pytest.raises(Retry, match="status 500"):
            await session.cache_flush()
        await process.plan(kind="socket-down", path=COMMAND)
        with pytest.raises(Retry, match="no answer to killgw"):
            await session.killgw("external", uuid)


async def test_a_message_is_not_lost_to_another_page_of_the_same_session(process):
    """Lists of gateways and domains go on beside the commands, in one login."""
    uuid = (await process.gateway())["uuid"]
    async with session_at(process.url) as session:
        await session.status()
        await asyncio.gather(
            *(session.list_rows("domains") for _ in range(4)),
            *(session.cache_flush() for _ in range(4)),
            *(session.list_rows("gateways", all_tenants=True) for _ in range(4)),
            *(session.killgw("external", uuid) for _ in range(4)),
        )


async def test_a_list_of_many_gateways_is_narrowed(process, switch):
    """A whole list of 80 rows at 0.5 s is longer than any request may take."""
    await process.seed(gateways=[{"name": f"Customer-{n:04d}", "domain": MCON} for n in range(80)])
    service = await process.service("gateway", "Customer-0042", "Customer-0077")
    await process.put(row_s=0.5)
    for bring in (switch.suspend, switch.restore):
        await bring(service)
    assert (await process.gateway("Customer-0042"))["live"]


async def test_slow_rows_can_be_planned_for_one_list(process):
    async with session_at(process.url) as session:
        await session.status()
        await process.plan(kind="slow-rows", path="/app/gateways", value="0.3")
        began = time.monotonic()
        await session.list_rows("gateways", all_tenants=True)
        assert time.monotonic() - began >= 0.6


@pytest.mark.parametrize(
    "name", ["100%", "a_b", "x\\y", "Ünï", "O'Brien & <Co>", "Trunk A", "  two  ", "#1?&page=7"]
)
async def test_a_gateway_of_any_name_is_found(process, switch, name):
    await process.seed(gateways=[{"name": name, "domain": "other.example.com"}])
    state = (await process.http.get("/_sim/state")).json()
    uuid = next(g["uuid"] for g in state["gateways"] if g["domain"] == "other.example.com")
    service = replace_ids(await process.service("gateway"), uuid)
    await switch.suspend(service)
    await switch.restore(service)
    await switch.suspend(service)
    assert [g["enabled"] for g in (await process.http.get("/_sim/state")).json()["gateways"]] == [
        True, True, False,
    ]  # fmt: skip


def replace_ids(service, *uuids):
    return service.model_copy(update={"gateway_ids": uuids})


async def test_a_gateway_that_was_renamed_is_found(monkeypatch):
    async with simulated(monkeypatch) as pbx:
        switch = FusionPbxSwitch("pbx-1", server_of(pbx.url), clock=CLOCK)
        service = service_of(pbx, "gateway")
        await switch.suspend(service)
        pbx.pbx.gateways[service.gateway_ids[0]].name = "Renamed"
        assert "gateway Renamed enabled" in await switch.restore(service)
        await switch.aclose()


async def test_more_gateways_than_are_searched_for_one_by_one(monkeypatch):
    async with simulated(monkeypatch, rows_per_page=3) as pbx:
        for number in range(9):
            pbx.pbx.add_gateway(Gateway(f"Many {number}", domain=MCON))
        many = [g.uuid for g in pbx.pbx.gateways.values() if g.name.startswith("Many")]
        switch = FusionPbxSwitch("pbx-1", server_of(pbx.url), clock=CLOCK)
        await switch.suspend(replace_ids(service_of(pbx, "gateway"), *many))
        assert not any(pbx.pbx.gateways[uuid].live for uuid in many)
        assert can_call(pbx)
        await switch.aclose()


async def test_killgw_follows_the_toggle_at_once(monkeypatch):
    """And there are two narrowed lists in all: one before, one to read back."""
    async with simulated(monkeypatch) as pbx:
        seen = []
        for owner, method in ((pbx.site, "_toggle"), (pbx.site, "_list"), (pbx.pbx, "command")):
            noted(owner, method, seen, monkeypatch)
        switch = FusionPbxSwitch("pbx-1", server_of(pbx.url), clock=CLOCK)
        await switch.suspend(service_of(pbx, "gateway"))
        assert seen == ["_list", "_toggle", "command", "_list"]
        await switch.aclose()


def noted(owner, method, seen, monkeypatch):
    real = getattr(owner, method)

    def noting(*given):
        seen.append(method)
        return real(*given)

    monkeypatch.setattr(owner, method, noting)


async def test_the_doctor_fails_a_pbx_whose_switch_cannot_be_reached(process):
    await process.put(event_socket=False)
    findings = [f async for f in examine_export("pbx-1", server_of(process.url), CLOCK)]
    (page,) = [finding for finding in findings if finding.check == "switch page"]
    assert page.state == "fail"
    assert "event socket is down" in page.said


STEPS = st.lists(st.sampled_from(["suspend", "restore"]), min_size=1, max_size=4)
TROUBLE = {
    "socket-down": Fault("socket-down", "/"),
    "status": Fault("status", "/", "503"),
    "drop": Fault("drop", "/"),
    # Lost in the middle of a login it would be a refused key, which is not tried again for 60 s.
    "forget": Fault("forget", "/app/sip_status"),
    "none": Fault("slow", "/", "0"),
}
TROUBLES = st.lists(st.sampled_from([*TROUBLE, "none", "none"]), max_size=24)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    level=st.sampled_from(LEVELS),
    steps=STEPS,
    troubles=TROUBLES,
    line=st.sampled_from(["5.5", "5.6"]),
)
@example(level="extensions", steps=["suspend"], troubles=["none"] * 7 + ["socket-down"], line="5.5")
def test_what_is_confirmed_is_true_whichever_request_fails(level, steps, troubles, line):
    """Each request in turn meets one of the faults; a confirmation is held against the switch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
        patch.setattr("suspender.drivers.fusionpbx._PAUSE_S", 0.0)
        asyncio.run(story(level, steps, [replace(TROUBLE[kind]) for kind in troubles], line))


async def story(level, steps, faults, line):
    pbx = Pbx()
    apply_seed(pbx, SEED)
    async with serve(pbx, line=line) as simulator:
        assert can_call(simulator), "and its directory entry is cached"
        simulator.faults.planned = faults
        switch = FusionPbxSwitch("pbx-1", server_of(simulator.url), clock=CLOCK)
        service = service_of(simulator, level)
        for step in [*steps, "suspend", "restore"]:
            for _ in range(40):
                try:
                    await getattr(switch, step)(service)
                    break
                except (Retry, Refused, OperatorMustAct):
                    continue
            else:
                raise AssertionError(f"{step} was never confirmed")
            assert can_call(simulator) is (step == "restore")
        await switch.aclose()
