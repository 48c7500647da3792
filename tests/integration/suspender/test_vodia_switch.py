"""Services are switched off and on at a Vodia, confirmed by reading it back, without others."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import Service
from ringfence_local.embedded.ports import free_port
from ringfence_simulators.faults import Fault
from ringfence_simulators.vodia.app import VodiaSimulator
from ringfence_testing.clock import FixedClock
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    OperatorMustAct,
    SwitchDone,
)
from suspender.drivers.vodia.driver import VodiaDriver
from suspender.rules.elements import Element
from tests.support.narrow import expect
from tests.support.vodia import CFFM, RUCKEN, server_of, service_of, simulated, targets_of, turn

CLOCK = FixedClock(datetime(2026, 11, 21, 10, 2, 3, tzinfo=UTC))
STATE_PATH = "/rest/domain/{tenant}/user_settings/{extension}"
each_level = pytest.mark.parametrize("level", ["gateway", "extensions"])

MakeDriver = Callable[..., VodiaDriver]


@pytest.fixture(params=["post", "put"])
async def pbx(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[VodiaSimulator]:
    async with simulated(monkeypatch, verbs=request.param) as simulator:
        yield simulator


@pytest.fixture
async def driver_of(pbx: VodiaSimulator) -> AsyncIterator[MakeDriver]:
    made = []

    def make(**settings: Any) -> VodiaDriver:
        settings = {"extension_state_path": STATE_PATH, "verbs": pbx.pbx.habits.verbs, **settings}
        url = settings.pop("url", pbx.url)
        made.append(VodiaDriver("pbx-2", server_of(url, **settings), clock=CLOCK))
        return made[-1]

    yield make
    for driver in made:
        await driver.aclose()


@pytest.fixture
def driver(driver_of: MakeDriver) -> VodiaDriver:
    return driver_of()


def can_call(pbx: VodiaSimulator, number: str = "2112", domain: str = CFFM) -> bool:
    return pbx.pbx.can_call(pbx.pbx.extensions[domain, number])[0]


async def states(driver: VodiaDriver, *products: Service) -> dict[str, ElementReading]:
    """The reading of each element by its name."""
    return {
        e.name: expect(ElementReading, r)
        for e, r in (await driver.read(targets_of(*products))).items()
    }


def said(answers: Mapping[Any, ElementReading | SwitchDone | Failure], kind: type[object]) -> str:
    """The text of the single answer, which must be of that kind."""
    [answer] = answers.values()
    assert isinstance(answer, kind), answer
    return answer.evidence if isinstance(answer, SwitchDone) else str(answer)


@each_level
async def test_elements_are_switched_off_and_on_again(
    pbx: VodiaSimulator, driver: VodiaDriver, level: str
) -> None:
    service = service_of(level)
    [before] = (await states(driver, service)).values()
    assert before.state == "on"
    for _ in range(2):
        evidence = said(await turn(driver, service, off=True), SwitchDone)
        assert "disabled" in evidence
        assert evidence.endswith("read back 10:02:03Z")
        assert [r.state for r in (await states(driver, service)).values()] == ["off"]
        assert not can_call(pbx)
        assert can_call(pbx, domain=RUCKEN), "the other client goes on"
    for _ in range(2):
        assert "enabled" in said(await turn(driver, service, off=False), SwitchDone)
        assert can_call(pbx)


async def test_readings_have_names_and_evidence_describes_the_change(driver: VodiaDriver) -> None:
    trunk, extension = service_of("gateway"), service_of()
    assert await states(driver, trunk, extension) == {
        "10": ElementReading("on", name="Trunk A (10)"),
        "2112": ElementReading("on", name="2112"),
    }
    assert await turn(driver, trunk, extension, off=True) == {
        "10": SwitchDone("trunk Trunk A (10) disabled, read back 10:02:03Z"),
        "2112": SwitchDone("extension 2112 disabled, read back 10:02:03Z"),
    }
    assert await turn(driver, trunk, extension, off=True) == {
        "10": SwitchDone("trunk Trunk A (10) disabled already, read back 10:02:03Z"),
        "2112": SwitchDone("extension 2112 disabled already, read back 10:02:03Z"),
    }


async def test_many_extensions_are_switched_by_one_request_for_each_tenant(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    both = service_of(extensions=("2112", "2113")), service_of(service_id="svc-3", tenant=RUCKEN)
    assert await driver.switch([]) == {}
    assert all(isinstance(a, SwitchDone) for a in (await turn(driver, *both, off=True)).values())
    assert len(pbx.site.orders) == 2
    assert not any(can_call(pbx, *key) for key in (("2112",), ("2113",), ("2112", RUCKEN)))


async def test_switching_off_does_not_end_live_calls(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    pbx.pbx.begin_call("2112", CFFM, "abc", to="<sip:14165550100@x>")
    await turn(driver, service_of(), off=True)
    assert len(pbx.pbx.live[CFFM, "2112"]) == 1


@pytest.mark.parametrize("off", [True, False])
async def test_a_shared_trunk_is_never_switched_for_one_tenant(
    pbx: VodiaSimulator, driver: VodiaDriver, off: bool
) -> None:
    """The tenant's own trunk is switched all the same."""
    answers = await turn(driver, service_of("gateway", gateway_ids=("10", "12")), off=off)
    assert isinstance(answers["12"], OperatorMustAct)
    assert "trunk Everybody's (12) is global, other tenants" in str(answers["12"])
    assert isinstance(answers["10"], SwitchDone)
    assert not any("12" in path for _, path in pbx.site.orders)
    assert pbx.pbx.trunks["12"].disabled == ""


async def test_a_trunk_that_became_shared_after_it_was_read_is_not_switched(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    [target] = targets_of(service_of("gateway"))
    readings = await driver.read([target])
    pbx.pbx.trunks["10"].shared = "true"
    answers = await driver.switch(
        [ElementChange(target, True, expect(ElementReading, readings[target.element]))]
    )
    assert "global" in said(answers, OperatorMustAct)
    assert pbx.site.orders == []


@pytest.mark.parametrize(("flag", "is_shared"), [("false", False), ("", False), ("maybe", True)])
async def test_a_trunk_that_may_be_shared_counts_as_shared(
    pbx: VodiaSimulator,
    driver: VodiaDriver,
    monkeypatch: pytest.MonkeyPatch,
    flag: str,
    is_shared: bool,
) -> None:
    monkeypatch.setattr(pbx.pbx.trunks["10"], "shared", flag)
    answers = await turn(driver, service_of("gateway"), off=True)
    assert isinstance(answers["10"], OperatorMustAct if is_shared else SwitchDone)
    assert can_call(pbx) is is_shared


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"suspend_by": "domain"}, "no switch for a whole tenant; suspend by gateway"),
        ({"outbound_only": True}, "no switch for outbound calls alone; suspend by gateway"),
        ({"extensions": ("2112 2113",)}, "'2112 2113' is no extension"),
        (
            {"suspend_by": "gateway", "tenant": "nobody.example"},
            "nobody.example/domain_trunks (404",
        ),
    ],
)
async def test_a_product_that_cannot_be_switched_needs_a_person(
    pbx: VodiaSimulator, driver: VodiaDriver, changed: dict[str, Any], words: str
) -> None:
    assert words in said(await turn(driver, service_of(**changed), off=True), OperatorMustAct)
    assert can_call(pbx)


@pytest.mark.parametrize(
    "changed",
    [
        {"suspend_by": "gateway", "gateway_ids": ("99",)},
        {"suspend_by": "gateway", "gateway_ids": ("11",)},
        {"extensions": ("9999",)},
    ],
)
async def test_what_the_pbx_does_not_have_is_missing(
    driver: VodiaDriver, changed: dict[str, Any]
) -> None:
    service = service_of(**changed)
    [reading] = (await states(driver, service)).values()
    assert reading.state == "missing"
    answer = said(await turn(driver, service, off=True), OperatorMustAct)
    assert "correct the product's" in answer


async def test_a_failing_element_neither_fails_nor_delays_others(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    """Of other tenants, of the same tenant, of other ways."""
    products = [
        service_of(extensions=("2112", "9999", "21 13")),
        service_of("gateway", gateway_ids=("10", "12", "99")),
        service_of(service_id="svc-4", tenant="nobody.example", extensions=("77",)),
        service_of(service_id="svc-5", tenant=RUCKEN, suspend_by="domain"),
    ]
    targets = targets_of(*products)
    readings = await driver.read(targets)
    assert readings.keys() == {target.element for target in targets}
    answers = await turn(driver, *products, off=True)
    assert {name for name, answer in answers.items() if isinstance(answer, SwitchDone)} == {
        "2112",
        "10",
    }
    assert not can_call(pbx)


async def test_a_tenant_with_broken_pages_fails_alone(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    """A server without any answering page raises."""
    both = service_of("gateway"), service_of("gateway", tenant=RUCKEN, gateway_ids=("11",))
    broken = Fault("status", f"/rest/domain/{CFFM}", "500", times=100)
    pbx.faults.planned = [broken]
    answers = await turn(driver, *both, off=True)
    assert isinstance(answers["10"], Retry)
    assert isinstance(answers["11"], SwitchDone)
    pbx.faults.planned = [Fault("status", "/rest", "500", times=100)]
    for ask in (driver.read(targets_of(*both)), driver.live(targets_of(*both)), driver.inventory()):
        with pytest.raises(Retry, match="status 500"):
            await ask


async def test_a_server_that_does_not_answer_is_not_asked_for_each_element(
    pbx: VodiaSimulator, driver_of: MakeDriver
) -> None:
    driver = driver_of(url=f"http://127.0.0.1:{free_port()}", concurrency=1)
    many = [service_of("gateway", tenant=f"t{n}.example", service_id=f"s{n}") for n in range(50)]
    with pytest.raises(Retry, match="ConnectError"):
        await driver.read(targets_of(*many))
    pbx.faults.planned = [Fault("status", "/rest", "500", times=100)]
    with pytest.raises(Retry, match="status 500"):
        await driver_of(concurrency=1).read(targets_of(*many))
    assert pbx.faults.planned[0].times == 97, "the rest is not asked after three in a row"


async def test_a_request_refused_for_many_is_sent_one_by_one(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    pbx.pbx.habits.strict_orders = True
    answers = await turn(driver, service_of(extensions=("2112", "2113", "9999")), off=True)
    assert {n: type(a) for n, a in answers.items()} == {
        "2112": SwitchDone,
        "2113": SwitchDone,
        "9999": OperatorMustAct,
    }
    assert not can_call(pbx)


@pytest.fixture
def unread(driver_of: MakeDriver) -> VodiaDriver:
    return driver_of(extension_state_path=None)


async def test_extensions_that_cannot_be_read_back_are_switched_but_not_confirmed(
    pbx: VodiaSimulator, unread: VodiaDriver
) -> None:
    """It is not documented where their state can be read, so a person has to check."""
    assert await states(unread, service_of()) == {"2112": ElementReading("unknown", name="2112")}
    words = said(await turn(unread, service_of(), off=True), OperatorMustAct)
    assert "the order was accepted, but whether extension 2112" in words
    assert "set extension_state_path in the servers file, or accept_unread" in words
    assert not can_call(pbx), "it is off all the same"
    assert await unread.live(targets_of(service_of())) == frozenset()
    await turn(unread, service_of(), off=False)
    assert can_call(pbx)


async def test_accept_unread_confirms_an_accepted_request(driver_of: MakeDriver) -> None:
    driver = driver_of(extension_state_path=None, accept_unread=True)
    answers = await turn(driver, service_of(extensions=("2112", "9999")), off=True)
    assert answers["2112"] == SwitchDone(
        "extension 2112 disabled by order, accepted 10:02:03Z, not read back", proven=False
    )


async def test_a_nonexistent_extension_is_missing_even_if_no_state_is_shown(
    unread: VodiaDriver,
) -> None:
    found = await states(unread, service_of(extensions=("2112", "9999")))
    assert {name: reading.state for name, reading in found.items()} == {
        "2112": "unknown",
        "9999": "missing",
    }


async def test_a_list_of_accounts_with_states_proves_the_state(
    pbx: VodiaSimulator, unread: VodiaDriver
) -> None:
    pbx.pbx.habits.lists_accounts = "users"
    service = service_of(extensions=("2112", "2113"))
    for off in (True, False):
        answers = await turn(unread, service, off=off)
        assert all(isinstance(answer, SwitchDone) and answer.proven for answer in answers.values())
        assert can_call(pbx) is not off
    pbx.pbx.extensions[CFFM, "2113"].disabled = True
    found = await states(unread, service)
    assert (
        expect(ElementReading, found["2112"]).state,
        expect(ElementReading, found["2113"]).state,
    ) == (
        "on",
        "off",
    )


async def test_a_list_of_accounts_without_states_proves_nothing(
    pbx: VodiaSimulator, unread: VodiaDriver
) -> None:
    pbx.pbx.habits.lists_accounts = "userlist"
    assert [r.state for r in (await states(unread, service_of())).values()] == ["unknown"]
    assert "nothing shows it" in said(await turn(unread, service_of(), off=True), OperatorMustAct)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"extension_state_field": "off"}, "no readable 'off' at"),
        (
            {"extension_state_path": "/rest/none/{tenant}/{extension}"},
            "correct extension_state_path",
        ),
    ],
)
async def test_a_state_that_is_not_found_does_not_prevent_the_request(
    pbx: VodiaSimulator, driver_of: MakeDriver, settings: dict[str, Any], words: str
) -> None:
    driver = driver_of(**settings, accept_unread=True)
    assert [r.state for r in (await states(driver, service_of())).values()] == ["unknown"]
    assert words in said(await turn(driver, service_of(), off=True), OperatorMustAct)
    assert not can_call(pbx)


async def test_a_request_without_effect_is_detected(
    pbx: VodiaSimulator, driver: VodiaDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for thing in (pbx.pbx.trunks["10"], pbx.pbx.extensions[CFFM, "2112"]):
        fixed = type("Fixed", (type(thing),), {"__setattr__": lambda *_: None})
        monkeypatch.setattr(thing, "__class__", fixed)
    answers = await turn(driver, service_of("gateway"), service_of(), off=True)
    assert "trunk Trunk A (10) not disabled after the order" in str(answers["10"])
    assert f"extension 2112 of '{CFFM}' not disabled after the order" in str(answers["2112"])
    assert {type(answer) for answer in answers.values()} == {Retry}


async def test_requests_with_the_wrong_verbs_are_refused_with_a_hint(
    pbx: VodiaSimulator, driver_of: MakeDriver
) -> None:
    driver = driver_of(verbs="put" if pbx.pbx.habits.verbs == "post" else "post")
    answers = await turn(driver, service_of("gateway"), service_of(), off=True)
    for answer in answers.values():
        assert isinstance(answer, OperatorMustAct)
        assert "with 405: is `verbs` right" in str(answer)


@each_level
async def test_a_failing_server_raises_retry_and_a_later_attempt_succeeds(
    pbx: VodiaSimulator, driver: VodiaDriver, level: str
) -> None:
    """Fail each request of a suspension in turn."""
    service, failed_at = service_of(level), 0
    while True:
        passed = [Fault("slow", "/rest", "0", times=failed_at)] if failed_at else []
        pbx.faults.planned = [*passed, Fault("status", "/rest", "500")]
        try:
            answers = await turn(driver, service, off=True)
        except Retry:
            failed_at += 1
            continue
        if all(isinstance(answer, SwitchDone) for answer in answers.values()):
            break
        failed_at += 1
    pbx.faults.planned.clear()
    assert failed_at >= 3
    assert not can_call(pbx)


async def test_live_returns_elements_that_are_on(pbx: VodiaSimulator, driver: VodiaDriver) -> None:
    both = service_of("gateway"), service_of(extensions=("2112", "2113", "9999"))
    await turn(driver, *both, off=True)
    assert await driver.live(targets_of(*both)) == frozenset()
    pbx.pbx.trunks["10"].disabled = "false"
    pbx.pbx.extensions[CFFM, "2113"].disabled = False
    assert await driver.live(targets_of(*both)) == {
        Element("gateway", CFFM, "10"),
        Element("extensions", CFFM, "2113"),
    }
