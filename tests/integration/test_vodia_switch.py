"""Services go off and on at a Vodia, confirmed by reading it back; nobody else's go with them."""

from datetime import UTC, datetime

import pytest
from vodia_harness import CFFM, RUCKEN, server_of, service_of, simulated

from ringfence.errors import Retry
from ringfence.testing.clock import FixedClock
from ringfence_simulators.vodia.faults import Fault
from suspender.drivers import OperatorMustAct, SwitchState
from suspender.drivers.vodia import VodiaSwitch

CLOCK = FixedClock(datetime(2026, 11, 21, 10, 2, 3, tzinfo=UTC))
STATE_PATH = "/rest/domain/{tenant}/user_settings/{extension}"
each_level = pytest.mark.parametrize("level", ["gateway", "extensions"])


@pytest.fixture(params=["post", "put"])
async def pbx(request, monkeypatch):
    async with simulated(monkeypatch, verbs=request.param) as simulator:
        yield simulator


def switch_of(pbx, **settings):
    verbs = pbx.pbx.habits.verbs
    settings = {"extension_state_path": STATE_PATH, "verbs": verbs, **settings}
    return VodiaSwitch("pbx-2", server_of(pbx.url, **settings), clock=CLOCK)


@pytest.fixture
async def switch(pbx):
    switch = switch_of(pbx)
    yield switch
    await switch.aclose()


def can_call(pbx, number="2112", domain=CFFM):
    return pbx.pbx.can_call(pbx.pbx.extensions[domain, number])[0]


@each_level
async def test_off_and_on_again(pbx, switch, level):
    service = service_of(level)
    assert await switch.read(service) is SwitchState.ACTIVE
    for _ in range(2):
        evidence = await switch.suspend(service)
        assert "disabled" in evidence
        assert evidence.endswith("read back 10:02:03Z")
        assert await switch.read(service) is SwitchState.SUSPENDED
        assert not can_call(pbx)
        assert can_call(pbx, domain=RUCKEN), "the other client goes on"
    for _ in range(2):
        assert "enabled" in await switch.restore(service)
        assert await switch.read(service) is SwitchState.ACTIVE
        assert can_call(pbx)


async def test_the_evidence_says_what_was_done(pbx, switch):
    pbx.pbx.begin_call("2112", CFFM, "abc", to="<sip:14165550100@x>")
    assert await switch.suspend(service_of("gateway")) == (
        "trunk Trunk A (10) disabled, 1 live calls ended, read back 10:02:03Z"
    )
    assert await switch.suspend(service_of(extensions=("2112", "2113"))) == (
        "extensions 2112, 2113 disabled, 0 live calls ended, read back 10:02:03Z"
    )


@pytest.mark.parametrize("verb", ["suspend", "restore"])
@pytest.mark.parametrize("gateway_ids", [("12",), ("10", "12")])
async def test_a_shared_trunk_is_never_switched_for_one_tenant(pbx, switch, verb, gateway_ids):
    """Nor are the tenant's own, when one of those named is shared: nothing is half done."""
    service = service_of("gateway", gateway_ids=gateway_ids)
    with pytest.raises(OperatorMustAct, match=r"trunk Everybody's \(12\) is global, other tenants"):
        await getattr(switch, verb)(service)
    assert pbx.site.orders == []
    assert can_call(pbx)


@pytest.mark.parametrize(("flag", "is_shared"), [("false", False), ("", False), ("maybe", True)])
async def test_what_is_not_surely_a_tenants_own_is_taken_for_shared(
    pbx, switch, monkeypatch, flag, is_shared
):
    monkeypatch.setattr(pbx.pbx.trunks["10"], "shared", flag)
    if is_shared:
        with pytest.raises(OperatorMustAct, match="global"):
            await switch.suspend(service_of("gateway"))
    else:
        await switch.suspend(service_of("gateway"))
    assert can_call(pbx) is is_shared


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"suspend_by": "domain"}, "no switch for a whole tenant: suspend by gateway"),
        ({"suspend_by": "gateway", "gateway_ids": ()}, "names no trunks"),
        ({"suspend_by": "gateway", "gateway_ids": ("99",)}, "has no trunk 99 there"),
        ({"suspend_by": "gateway", "gateway_ids": ("11",)}, "has no trunk 11 there"),
        ({"extensions": ()}, "names no extensions"),
        ({"extensions": ("2112 2113",)}, "these are none: 2112 2113"),
        ({"extensions": ("9999",)}, "the PBX has none of its extensions"),
        ({"tenant": "nobody.example"}, "knows no .*nobody.example.*404"),
    ],
)
async def test_a_product_that_can_not_be_switched_needs_a_person(pbx, switch, changed, said):
    with pytest.raises(OperatorMustAct, match=said):
        await switch.suspend(service_of(**changed))
    assert can_call(pbx)


async def test_a_trunk_that_stands_right_is_not_ordered_again(pbx, switch):
    service = service_of("gateway")
    await switch.restore(service)
    assert pbx.site.orders == []
    await switch.suspend(service)
    await switch.suspend(service)
    assert len(pbx.site.orders) == 1


@each_level
async def test_calls_in_progress_are_ended(pbx, switch, level):
    for number in range(3):
        pbx.pbx.begin_call("2112", CFFM, f"call-{number}", to="<sip:14165550100@x>")
    pbx.pbx.begin_call("2113", CFFM, "another product's")
    pbx.pbx.begin_call("2112", RUCKEN, "another tenant's")
    assert "3 live calls ended" in await switch.suspend(service_of(level))
    assert pbx.pbx.live[CFFM, "2112"] == []
    assert len(pbx.pbx.live[CFFM, "2113"]) == len(pbx.pbx.live[RUCKEN, "2112"]) == 1


@pytest.mark.parametrize("to", ["911", '"Help" <sip:911@x>', "<sip:112@x>", "tel:999"])
async def test_a_call_for_help_is_not_cut_off(pbx, switch, to):
    pbx.pbx.begin_call("2112", CFFM, "help", to=to)
    pbx.pbx.begin_call("2112", CFFM, "other", to="<sip:19115550100@x>", duration=911)
    assert "1 live calls ended" in await switch.suspend(service_of())
    assert [call["callid"] for call in pbx.pbx.live[CFFM, "2112"]] == ["help"]


async def test_a_call_that_goes_on_after_being_hung_up_is_no_suspension(pbx, switch, monkeypatch):
    monkeypatch.setattr("suspender.drivers.vodia._GONE_PAUSE_S", 0.0)
    pbx.pbx.habits.calls_end_by_hang_up = False
    pbx.pbx.begin_call("2112", CFFM, "stubborn")
    with pytest.raises(Retry, match="calls of 2112 go on after being hung up"):
        await switch.suspend(service_of())
    assert not can_call(pbx), "what could be done was"


async def test_a_product_of_trunks_alone_says_that_calls_go_on(pbx, switch):
    evidence = await switch.suspend(service_of("gateway", extensions=()))
    assert "calls in progress left alone (the product names no extensions)" in evidence


async def test_extensions_that_can_not_be_read_back_are_not_called_suspended(pbx):
    """Where their state stands is not documented; until somebody says so, a person looks."""
    switch = switch_of(pbx, extension_state_path=None)
    pbx.pbx.begin_call("2112", CFFM, "abc")
    with pytest.raises(OperatorMustAct, match=r"order was accepted.*set extension_state_path"):
        await switch.suspend(service_of())
    assert not can_call(pbx), "they are off all the same, and their calls ended"
    assert pbx.pbx.live[CFFM, "2112"] == []
    with pytest.raises(OperatorMustAct, match="can not be read back"):
        await switch.read(service_of())
    await switch.aclose()


async def test_an_operator_may_take_an_accepted_order_for_done(pbx):
    switch = switch_of(pbx, extension_state_path=None, accept_unread=True)
    evidence = await switch.suspend(service_of())
    assert evidence.endswith("accepted 10:02:03Z, not read back")
    await switch.aclose()


async def test_a_state_that_is_not_there_is_named(pbx):
    switch = switch_of(pbx, extension_state_field="off")
    with pytest.raises(OperatorMustAct, match=r"no readable 'off' at .*extension_state_field"):
        await switch.suspend(service_of())
    await switch.aclose()


async def test_an_order_without_effect_is_found_out(pbx, switch, monkeypatch):
    for thing in (pbx.pbx.trunks["10"], pbx.pbx.extensions[CFFM, "2112"]):
        fixed = type("Fixed", (type(thing),), {"__setattr__": lambda *_: None})
        monkeypatch.setattr(thing, "__class__", fixed)
    with pytest.raises(Retry, match=r"Trunk A \(10\) not disabled after the order"):
        await switch.suspend(service_of("gateway"))
    with pytest.raises(Retry, match="2112 not disabled after the order"):
        await switch.suspend(service_of())


async def test_one_of_two_is_mixed(pbx, switch):
    pbx.pbx.extensions[CFFM, "2113"].disabled = True
    service = service_of(extensions=("2112", "2113"))
    assert await switch.read(service) is SwitchState.MIXED
    await switch.suspend(service)
    assert await switch.read(service) is SwitchState.SUSPENDED


async def test_the_verbs_of_another_era_are_refused_and_named(pbx):
    other = "put" if pbx.pbx.habits.verbs == "post" else "post"
    switch = switch_of(pbx, verbs=other)
    for level in ("gateway", "extensions"):
        with pytest.raises(OperatorMustAct, match="with 405: is `verbs` right"):
            await switch.suspend(service_of(level))
    await switch.aclose()


@each_level
async def test_an_unwell_server_anywhere_is_a_retry_and_done_later(pbx, switch, level):
    """Fail each request of a suspension in turn."""
    service, failed_at = service_of(level), 0
    pbx.pbx.begin_call("2112", CFFM, "abc")
    while True:
        passed = [Fault("slow", "/rest", "0", times=failed_at)] if failed_at else []
        pbx.faults.planned = [*passed, Fault("status", "/rest", "500")]
        try:
            await switch.suspend(service)
            break
        except Retry:
            failed_at += 1
    pbx.faults.planned.clear()
    assert failed_at >= 3
    assert not can_call(pbx)
