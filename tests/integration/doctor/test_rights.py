"""`ringfence doctor` names missing rights of the key's user, and whether outbound can work."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ringfence_simulators.faults import Fault
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_simulators.fusionpbx.things import Route
from tests.support.doctor import Examined, doctor_command, examined
from tests.support.fusionpbx import MCON, RUCKEN, outbound, simulated

Look = Callable[[], Awaitable[Examined]]


@pytest.fixture(params=["5.5", "5.6"])
async def pbx(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FusionPbxSimulator]:
    async with simulated(monkeypatch, line=request.param, clock=time.time) as simulator:
        simulator.pbx.place(outbound())
        yield simulator


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pbx: FusionPbxSimulator) -> Look:
    run = doctor_command(monkeypatch, tmp_path)
    entry = {
        "kind": "fusionpbx",
        "url": pbx.url,
        "host": MCON,
        "api_key": {"env": "TEST_FUSIONPBX_SUPER"},
        "all_tenants": True,
    }
    return lambda: examined(run, "pbx1", entry)


async def test_a_superadmin_has_all_rights(pbx: FusionPbxSimulator, look: Look) -> None:
    pbx.pbx.add_route(Route("Long distance", toll_allow="international"))
    found = await look()
    assert {f["state"] for f in found.findings} == {"ok"}
    assert found["outbound routes"]["said"] == (
        "Long distance test toll_allow: `suspend_by` outbound can work"
    )


@pytest.mark.parametrize(
    ("right", "check"),
    [
        ("extension_view", "extensions"),
        ("extension_edit", "extensions"),
        ("gateway_view", "gateways"),
        ("gateway_edit", "gateways"),
        ("domain_view", "tenants"),
        ("destination_view", "DIDs"),
        ("call_active_view", "live calls"),
        ("extension_toll", "toll allow"),
        ("extension_password", "toll allow"),
        ("outbound_route_view", "outbound routes"),
        ("dialplan_edit", "outbound routes"),
    ],
)
async def test_a_missing_right_is_named_by_the_check_that_needs_it(
    pbx: FusionPbxSimulator, look: Look, right: str, check: str
) -> None:
    pbx.pbx.add_route(Route("Long distance", toll_allow="international"))
    for user in pbx.pbx.users:
        user.without = [right]
    found = await look()
    assert {f["check"] for f in found.findings if f["state"] != "ok"} == {check}
    assert found[check]["state"] == "warn"
    assert right in found[check]["do"]


async def test_an_unreachable_switch_fails(pbx: FusionPbxSimulator, look: Look) -> None:
    """A FusionPBX without its event socket shows the page all the same, with status 200."""
    pbx.faults.planned = [Fault("socket-down", "/", times=10**6)]
    found = await look()
    assert found.failed == {"switch page"}
    assert "the switch was not reached: its event socket is down" in found["switch page"]["said"]


@pytest.mark.parametrize(
    ("routes", "state", "words"),
    [
        ([], "warn", "none is listed"),
        ([Route("A")], "warn", "A do not test toll_allow"),
        ([Route("A"), Route("B", RUCKEN, "local")], "warn", "A do not test toll_allow, B do"),
        ([Route("A", toll_allow="local"), Route("B", enabled=False)], "ok", "A test toll_allow"),
    ],
)
async def test_the_result_says_whether_outbound_can_work(
    pbx: FusionPbxSimulator, look: Look, routes: list[Route], state: str, words: str
) -> None:
    for route in routes:
        pbx.pbx.add_route(route)
    finding = (await look())["outbound routes"]
    assert finding["state"] == state
    assert words in finding["said"]
    assert bool(finding["do"]) is (state != "ok")


@pytest.mark.parametrize(
    "path", ["/app/dialplans/dialplans.php", "/app/dialplans/dialplan_edit.php"]
)
async def test_an_unexpected_page_of_routes_is_not_interpreted(
    pbx: FusionPbxSimulator, look: Look, path: str
) -> None:
    pbx.pbx.add_route(Route("A", toll_allow="local"))
    pbx.faults.planned = [Fault("html", path, "<h1>Maintenance</h1>", times=9)]
    assert (await look())["outbound routes"]["state"] == "fail"
