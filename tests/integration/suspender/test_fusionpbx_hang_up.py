"""Live calls of a product's extensions are ended, except emergency calls; no others are ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ringfence_contracts.errors import Retry
from ringfence_simulators.faults import Fault, FaultKind
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_testing.clock import FixedClock
from suspender.drivers.driver import HungUp, OperatorMustAct
from suspender.drivers.fusionpbx.driver import FusionPbxDriver
from tests.support.fusionpbx import MCON, RUCKEN, requests_to, server_of, service_of, simulated

LIST, EXEC = "/app/calls_active", "/app/basic_operator_panel"


@pytest.fixture(params=["5.5", "5.6"])
async def pbx(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FusionPbxSimulator]:
    monkeypatch.setattr("suspender.drivers.fusionpbx.calls.PAUSE_S", 0.0)
    async with simulated(monkeypatch, line=request.param) as simulator:
        yield simulator


@pytest.fixture
async def driver(pbx: FusionPbxSimulator) -> AsyncIterator[FusionPbxDriver]:
    driver = FusionPbxDriver("pbx-1", server_of(pbx.url), clock=FixedClock())
    yield driver
    await driver.aclose()


def begin(
    pbx: FusionPbxSimulator, number: str, extension: str = "2112", domain: str = MCON, **more: Any
) -> str:
    spec = {"extension": extension, "domain": domain, "number": number, **more}
    return pbx.pbx.begin_call(spec).uuid


async def test_all_calls_of_the_extensions_are_ended(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    ending = [
        begin(pbx, "14165550100"),
        begin(pbx, "14165550101", bridged=False),
        begin(pbx, "16135550102", direction="inbound"),
        begin(pbx, "2199", direction="local"),
    ]
    hung_up = await driver.hang_up(service_of(pbx), {"2112"})
    assert hung_up.excluded == ()
    assert sorted(hung_up.ended) == [
        "2112 -> 14165550100",
        "2112 -> 14165550101",
        "2112 -> 16135550102",
        "2112 -> 2199",
    ]
    assert not pbx.pbx.live.keys() & set(ending)
    assert await driver.hang_up(service_of(pbx), {"2112"}) == HungUp()


async def test_calls_of_other_tenants_and_extensions_go_on(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    theirs = [begin(pbx, "14165550100", domain=RUCKEN), begin(pbx, "14165550100", "2113")]
    ours = begin(pbx, "14165550100")
    hung_up = await driver.hang_up(service_of(pbx), {"2112"})
    assert hung_up.ended == ("2112 -> 14165550100",)
    assert ours not in pbx.pbx.live
    assert set(theirs) == set(pbx.pbx.live)
    await driver.hang_up(service_of(pbx, tenant=RUCKEN.upper()), {"2112"})
    assert list(pbx.pbx.live) == theirs[1:]


async def test_concurrent_callers_share_one_reading(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a batch of many clients, one page for each of them would delay the next batch."""
    ours = begin(pbx, "14165550100")
    seen = requests_to(pbx, monkeypatch)
    await asyncio.gather(*(driver.hang_up(service_of(pbx), {f"{n}"}) for n in range(2100, 2300)))
    assert ours not in pbx.pbx.live
    assert sum(count for path, count in seen.items() if path.startswith(LIST)) <= 4


@pytest.mark.parametrize("number", ["911", "+911", "9911", "9-911", "112", "999", "000", "933"])
@pytest.mark.parametrize("direction", ["outbound", "inbound"])
async def test_an_emergency_call_goes_on(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, number: str, direction: str
) -> None:
    emergency = begin(pbx, number, direction=direction)
    ordinary = begin(pbx, "14165550100")
    hung_up = await driver.hang_up(service_of(pbx), {"2112"})
    assert hung_up.ended == ("2112 -> 14165550100",)
    assert len(hung_up.excluded) == 1
    assert emergency in pbx.pbx.live
    assert ordinary not in pbx.pbx.live


async def test_nothing_is_ended_without_extensions(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    uuid = begin(pbx, "14165550100")
    assert await driver.hang_up(service_of(pbx, extensions=()), ()) == HungUp()
    assert uuid in pbx.pbx.live


async def test_an_empty_list_counts_only_if_the_switch_answers(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    uuid = begin(pbx, "14165550100")
    pbx.pbx.event_socket = False
    with pytest.raises(Retry, match="switch was not reached"):
        await driver.hang_up(service_of(pbx), {"2112"})
    pbx.pbx.event_socket = True
    assert len((await driver.hang_up(service_of(pbx), {"2112"})).ended) == 1
    assert uuid not in pbx.pbx.live


async def test_a_call_that_goes_on_is_tried_again(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = begin(pbx, "14165550100")
    monkeypatch.setattr(pbx.pbx, "kill_channel", lambda _: None)
    with pytest.raises(Retry, match=r"calls go on after being ended: 2112 -> 14165550100"):
        await driver.hang_up(service_of(pbx), {"2112"})
    assert uuid in pbx.pbx.live


@pytest.mark.parametrize("right", ["call_active_view", "call_active_hangup", "operator_panel_view"])
async def test_a_missing_right_is_named(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, right: str
) -> None:
    uuid = begin(pbx, "14165550100")
    pbx.pbx.users[0].without.append(right)
    with pytest.raises(OperatorMustAct, match=rf"pbx-1 .*give the key's user {right}"):
        await driver.hang_up(service_of(pbx), {"2112"})
    assert uuid in pbx.pbx.live


async def test_the_right_to_see_all_tenants_calls_is_not_needed(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    pbx.pbx.users[0].without.append("call_active_all")
    uuid = begin(pbx, "14165550100", domain=RUCKEN)
    await driver.hang_up(service_of(pbx, tenant=RUCKEN), {"2112"})
    assert uuid not in pbx.pbx.live


async def test_an_admins_key_ends_its_own_tenants_calls(pbx: FusionPbxSimulator) -> None:
    driver = FusionPbxDriver("pbx-1", server_of(pbx.url, superadmin=False), clock=FixedClock())
    assert await driver.hang_up(service_of(pbx), {"2112"}) == HungUp()
    uuid, other = begin(pbx, "14165550100"), begin(pbx, "14165550100", domain=RUCKEN)
    assert len((await driver.hang_up(service_of(pbx), {"2112"})).ended) == 1
    assert list(pbx.pbx.live) == [other]
    assert uuid not in pbx.pbx.live
    await driver.aclose()


@pytest.mark.parametrize("path", [LIST, EXEC])
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("status", "500"),
        ("cut-quiet", ""),
        ("html", "<p>odd</p>"),
        ("redirect", "/x"),
        ("drop", ""),
    ],
)
async def test_unexpected_answers_end_no_wrong_calls(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, path: str, kind: FaultKind, value: str
) -> None:
    other = begin(pbx, "911")
    begin(pbx, "14165550100")
    pbx.faults.planned.append(Fault(kind, path, value))
    try:
        await driver.hang_up(service_of(pbx), {"2112"})
    except (Retry, OperatorMustAct):
        await driver.hang_up(service_of(pbx), {"2112"})
    assert list(pbx.pbx.live) == [other]
