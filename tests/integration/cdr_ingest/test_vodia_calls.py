"""Live calls on a Vodia are ended on request, but never an emergency call."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ringfence_contracts.errors import Retry
from ringfence_simulators.faults import Fault
from ringfence_simulators.vodia.app import VodiaSimulator
from ringfence_testing.clock import FixedClock
from suspender.drivers.driver import HungUp, OperatorMustAct
from suspender.drivers.vodia.driver import VodiaDriver
from tests.support.vodia import CFFM, RUCKEN, server_of, service_of, simulated


@pytest.fixture
async def pbx(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VodiaSimulator]:
    async with simulated(monkeypatch) as simulator:
        yield simulator


@pytest.fixture
async def driver(
    pbx: VodiaSimulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[VodiaDriver]:
    monkeypatch.setattr("suspender.drivers.vodia.calls._PAUSE_S", 0.0)
    driver = VodiaDriver("pbx-2", server_of(pbx.url), clock=FixedClock())
    yield driver
    await driver.aclose()


def left(pbx: VodiaSimulator, number: str = "2112", domain: str = CFFM) -> list[str]:
    return [call["callid"] for call in pbx.pbx.live.get((domain, number), [])]


async def test_only_the_calls_of_the_extensions_are_ended(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    pbx.pbx.begin_call("2112", CFFM, "a", **{"from": "<sip:2112@x>", "to": "<sip:14165550100@x>"})
    pbx.pbx.begin_call("2112", CFFM, "b", **{"from": "<sip:14165550101@x>", "to": "<sip:2112@x>"})
    pbx.pbx.begin_call("2113", CFFM, "other product", to="<sip:14165550100@x>")
    pbx.pbx.begin_call("2112", RUCKEN, "other tenant", to="<sip:14165550100@x>")
    done = await driver.hang_up(service_of(), {"2112"})
    assert done == HungUp(("2112 -> 14165550100", "2112 -> 14165550101"))
    assert left(pbx) == []
    assert left(pbx, "2113") == ["other product"]
    assert left(pbx, domain=RUCKEN) == ["other tenant"]


@pytest.mark.parametrize(
    "sides",
    [
        {"to": "911"},
        {"to": '"Help" <sip:911@x>'},
        {"to": "<sip:112@x>"},
        {"to": "tel:999"},
        {"to": "<sip:9911@x>"},
        {"from": '"PSAP" <sip:+911@x>', "to": "<sip:2112@x>"},
        {"peer": {"uri": "sip:000@x"}, "to": "<sip:14165550100@x>"},
        {"somewhere": "933"},
    ],
)
async def test_an_emergency_call_is_not_ended_whatever_its_field_is_named(
    pbx: VodiaSimulator, driver: VodiaDriver, sides: dict[str, Any]
) -> None:
    pbx.pbx.begin_call("2112", CFFM, "help", **sides)
    pbx.pbx.begin_call("2112", CFFM, "other", to="<sip:19115550100@x>", duration=911, id="911")
    done = await driver.hang_up(service_of(), ["2112"])
    assert done.ended == ("2112 -> 19115550100",)
    assert len(done.excluded) == 1
    assert left(pbx) == ["help"]


@pytest.mark.parametrize("sides", [{}, {"from": "<sip:2112@x>"}, {"to": "anonymous"}])
async def test_a_call_without_a_shown_far_side_is_not_ended(
    pbx: VodiaSimulator, driver: VodiaDriver, sides: dict[str, Any]
) -> None:
    """It may be an emergency call."""
    pbx.pbx.begin_call("2112", CFFM, "abc", duration=17, **sides)
    assert await driver.hang_up(service_of(), ["2112"]) == HungUp(excluded=("2112 -> call abc",))
    assert left(pbx) == ["abc"]


async def test_a_call_that_continues_is_not_reported_as_ended_after_two_attempts(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    pbx.pbx.habits.calls_end_by_hang_up = False
    pbx.pbx.begin_call("2112", CFFM, "stubborn", to="<sip:14165550100@x>")
    with pytest.raises(Retry, match="go on after being hung up: '2112 -> 14165550100'"):
        await driver.hang_up(service_of(), ["2112"])
    assert len(pbx.site.orders) == 2


async def test_an_unknown_extension_has_no_calls(driver: VodiaDriver) -> None:
    assert await driver.hang_up(service_of(), ["9999"]) == HungUp()


async def test_a_refusal_is_for_the_operator_and_does_not_affect_other_extensions(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    pbx.faults.planned = [Fault("status", f"/rest/user/2112@{CFFM}", "403", times=9)]
    pbx.pbx.begin_call("2113", CFFM, "abc", to="<sip:14165550100@x>")
    with pytest.raises(OperatorMustAct, match="API access"):
        await driver.hang_up(service_of(), ["2112", "2113"])
    assert left(pbx, "2113") == []


async def test_a_failing_server_is_a_retry(pbx: VodiaSimulator, driver: VodiaDriver) -> None:
    pbx.faults.planned = [Fault("status", "/rest/user", "500", times=9)]
    with pytest.raises(Retry, match="status 500"):
        await driver.hang_up(service_of(), ["2112", "2113"])
