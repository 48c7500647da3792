"""Very many elements of one FusionPBX: few requests, and one result for each element."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import pytest

from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import Service
from ringfence_simulators.faults import Fault
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_simulators.fusionpbx.things import Gateway, SimulatedExtension
from ringfence_testing.clock import FixedClock
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    SwitchDone,
    SwitchTarget,
)
from suspender.drivers.fusionpbx.driver import FusionPbxDriver
from suspender.rules.elements import Element, elements_of
from tests.support.fusionpbx import (
    MCON,
    outcomes_of,
    readings_of,
    requests_to,
    restore,
    server_of,
    service_of,
    simulated,
    states_of,
)
from tests.support.narrow import expect, present

CLOCK = FixedClock(datetime(2026, 11, 21, 10, 2, 3, tzinfo=UTC))
HERD = 300


@pytest.fixture(params=["5.5", "5.6"])
async def pbx(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FusionPbxSimulator]:
    monkeypatch.setattr("suspender.drivers.fusionpbx.trunks.PAUSE_S", 0.0)
    async with simulated(monkeypatch, line=request.param) as simulator:
        yield simulator


@pytest.fixture
async def driver(pbx: FusionPbxSimulator) -> AsyncIterator[FusionPbxDriver]:
    driver = FusionPbxDriver("pbx-1", server_of(pbx.url), clock=CLOCK)
    yield driver
    await driver.aclose()


def trunks(pbx: FusionPbxSimulator, count: int) -> tuple[list[Gateway], list[Service]]:
    """As many gateways, each with its own product, and as many without a product."""
    gateways = [pbx.pbx.add_gateway(Gateway(f"T-{n:04d}", domain=MCON)) for n in range(2 * count)]
    named = gateways[::2]
    products = [
        service_of(pbx, "gateway", service_id=f"svc-{g.name}", gateway_ids=(g.uuid,)) for g in named
    ]
    return named, products


def tenants(pbx: FusionPbxSimulator, count: int) -> list[Service]:
    """As many tenants with three extensions each, of which a product names two."""
    names = [f"t{number:03d}.example.com" for number in range(count)]
    for name in names:
        for extension in ("101", "102", "103"):
            pbx.pbx.add_extension(SimulatedExtension(extension, name))
    return [service_of(pbx, tenant=name, extensions=("101", "102")) for name in names]


def failures(outcomes: Mapping[Element, SwitchDone | Failure]) -> dict[str, str]:
    return {
        element.name: str(o) for element, o in outcomes.items() if not isinstance(o, SwitchDone)
    }


def is_off(gateway: Gateway) -> bool:
    return (gateway.enabled, gateway.live) == (False, False)


async def test_many_gateways_are_switched_off_and_on_in_few_requests(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its list has 600 rows, 12 pages, each of which asks the switch 50 times."""
    gateways, products = trunks(pbx, HERD)
    others = [g for g in pbx.pbx.gateways.values() if g not in gateways]
    seen = requests_to(pbx, monkeypatch)
    outcomes = await outcomes_of(driver, *products, off=True)
    assert failures(outcomes) == {}
    assert all(map(is_off, gateways))
    assert not any(map(is_off, others)), "only what was asked for"
    assert seen.total() <= 20
    outcome = expect(SwitchDone, outcomes[elements_of(products[0])[0]])
    assert outcome.proven
    assert outcome.evidence == (
        f"gateway T-0000@{MCON} disabled, not listed by the switch after stop, toggle and rescan, "
        "read back 10:02:03Z"
    )
    seen.clear()
    assert failures(await outcomes_of(driver, *products, off=False)) == {}
    assert not any(is_off(gateway) for gateway in gateways)
    assert seen.total() <= 20


async def test_many_tenants_are_switched_off_and_on_in_few_requests(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests for each tenant, and the list of all of them before and after."""
    products = tenants(pbx, 100)
    seen = requests_to(pbx, monkeypatch)
    for off in (True, False):
        assert failures(await outcomes_of(driver, *products, off=off)) == {}
        for extension in pbx.pbx.extensions.values():
            is_named = extension.domain.startswith("t") and extension.number != "103"
            assert extension.enabled is not (off and is_named)
    lists = 2 * 2 * 9 + 4
    logins = 5 * 4
    assert seen.total() <= 2 * 2 * 100 + lists + logins
    assert seen["/app/sip_status/cmd.php"] == 2, "one flush for all of them"


async def test_a_gateway_disabled_by_a_person_among_many_is_not_flipped_on(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    """`stop` gives one answer too few: then the flags are read, and the gateway is not toggled."""
    gateways, products = trunks(pbx, 30)
    pbx.pbx.toggle("gateways", gateways[7].uuid)
    assert gateways[7].live, "a toggle alone ends nothing"
    assert failures(await outcomes_of(driver, *products, off=True)) == {}
    assert all(map(is_off, gateways))


async def test_an_element_that_was_off_before_is_read_as_off(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    """So that it is not switched on with the others later (SW18)."""
    gateways, products = trunks(pbx, 30)
    pbx.pbx.toggle("gateways", gateways[7].uuid)
    pbx.pbx.kill_gateway("external", gateways[7].uuid)
    states = await states_of(driver, *products)
    assert [state for state in states if state != "on"] == ["off"]
    assert states[7] == "off"


async def test_a_gateway_that_is_enabled_but_does_not_run_is_read_as_on(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    gateways, products = trunks(pbx, 30)
    pbx.pbx.kill_gateway("external", gateways[7].uuid)
    assert set(await states_of(driver, *products)) == {"on"}
    assert failures(await outcomes_of(driver, *products, off=True)) == {}
    assert all(map(is_off, gateways))


@pytest.mark.parametrize("count", [3, 30])
async def test_gateways_whose_toggle_is_reported_but_not_done_fail_alone(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, count: int
) -> None:
    gateways, products = trunks(pbx, count)
    liars = gateways[:2]
    for off in (True, False):
        before = [gateway.enabled for gateway in liars]
        pbx.faults.planned = [Fault("toggle-lies", value=g.uuid) for g in liars]
        failed = failures(await outcomes_of(driver, *products, off=off))
        assert failed.keys() == {g.uuid for g in liars}
        state = "disabled" if off else "enabled"
        assert all(f"not {state} after the toggle" in text for text in failed.values())
        assert [gateway.enabled for gateway in liars] == before
        assert failures(await outcomes_of(driver, *products, off=off)) == {}
        assert {is_off(gateway) for gateway in gateways} == {off}


@pytest.mark.parametrize("count", [1, 20])
async def test_extensions_whose_toggle_is_not_done_fail_alone(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, count: int
) -> None:
    products = tenants(pbx, count)
    liar = present(pbx.pbx.find_extension("101", products[0].tenant))
    pbx.faults.planned = [Fault("toggle-lies", value=liar.uuid)]
    outcomes = await outcomes_of(driver, *products, off=True)
    failed = {element: o for element, o in outcomes.items() if not isinstance(o, SwitchDone)}
    assert {(element.tenant, element.name) for element in failed} == {(liar.domain, "101")}
    assert failures(await outcomes_of(driver, *products, off=True)) == {}
    assert not liar.enabled


@pytest.mark.parametrize("count", [4, 30])
@pytest.mark.parametrize("done", range(4))
async def test_a_suspension_that_was_killed_is_completed(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, count: int, done: int
) -> None:
    """Killed after stop, after the toggle, or with a rescan in between that started them again."""
    gateways, products = trunks(pbx, count)
    for gateway in gateways[: count // 2 + 1]:
        if done != 1:
            pbx.pbx.kill_gateway("external", gateway.uuid)
        if done:
            pbx.pbx.toggle("gateways", gateway.uuid, rescan=False)
        if done == 3:
            gateway.live = True
    assert failures(await outcomes_of(driver, *products, off=True)) == {}
    assert all(map(is_off, gateways))
    assert failures(await outcomes_of(driver, *products, off=False)) == {}
    assert not any(map(is_off, gateways))


@pytest.mark.parametrize("count", [4, 30])
async def test_gateways_that_run_though_disabled_are_enabled_by_a_restore(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, count: int
) -> None:
    """The switch lists them before the restore, so the list alone is no proof."""
    gateways, products = trunks(pbx, count)
    for gateway in gateways:
        pbx.pbx.toggle("gateways", gateway.uuid)
    assert all(gateway.live for gateway in gateways)
    pbx.faults.planned = [Fault("toggle-lies", value=gateways[1].uuid)]
    failed = failures(await outcomes_of(driver, *products, off=False))
    assert failed.keys() == {gateways[1].uuid}
    assert failures(await outcomes_of(driver, *products, off=False)) == {}
    assert all(gateway.enabled and gateway.live for gateway in gateways)


async def test_a_change_needs_only_the_state_of_its_reading(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    """With a reading without a stored flag, the flag is read again."""
    gateways, products = trunks(pbx, 3)
    for off in (True, True, False, False):
        readings = await readings_of(driver, *products)
        plain = [
            type(r).__mro__[1](state=r.state, name=r.name)
            for r in (expect(ElementReading, found) for found in readings)
        ]
        targets = [SwitchTarget(elements_of(p)[0], p) for p in products]
        changes = [ElementChange(t, off, r) for t, r in zip(targets, plain, strict=True)]
        assert failures(await driver.switch(changes)) == {}
        assert {is_off(gateway) for gateway in gateways} == {off}


async def test_restores_and_suspensions_of_all_ways_in_one_call(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    gateways, trunk_products = trunks(pbx, 12)
    tenant_products = tenants(pbx, 6)
    await outcomes_of(driver, *trunk_products[:6], *tenant_products[:3], off=True)
    products = [*trunk_products, *tenant_products, service_of(pbx, "domain")]
    targets = [SwitchTarget(element, p) for p in products for element in elements_of(p)]
    readings = await driver.read(targets)
    back = {e for p in (*trunk_products[:6], *tenant_products[:3]) for e in elements_of(p)}
    changes = [
        ElementChange(t, t.element not in back, expect(ElementReading, readings[t.element]))
        for t in targets
    ]
    assert failures(await driver.switch(changes)) == {}
    assert [is_off(gateway) for gateway in gateways] == [False] * 6 + [True] * 6
    enabled = [present(pbx.pbx.find_extension("101", p.tenant)).enabled for p in tenant_products]
    assert enabled == [True] * 3 + [False] * 3
    assert not pbx.pbx.domains[MCON].enabled


async def test_a_server_that_does_not_answer_raises_retry(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    _, products = trunks(pbx, 30)
    products += tenants(pbx, 6)
    await states_of(driver, *products)
    pbx.faults.planned = [Fault("status", "/", "500", times=99)]
    with pytest.raises(Retry, match="status 500"):
        await driver.read([SwitchTarget(elements_of(p)[0], p) for p in products])


async def test_a_tenant_whose_toggle_is_not_answered_fails_alone_and_is_tried_again(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    products = tenants(pbx, 8)
    await states_of(driver, *products)
    pbx.faults.planned = [Fault("slow", "/app/extensions", "0"), Fault("drop", "/app/extensions")]
    outcomes = await outcomes_of(driver, *products, off=True)
    assert len({element.tenant for element, o in outcomes.items() if isinstance(o, Retry)}) <= 1
    assert failures(await outcomes_of(driver, *products, off=True)) == {}


@pytest.mark.parametrize("level", ["gateway", "extensions", "domain", "outbound"])
async def test_drift_is_found_for_each_way(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, level: str
) -> None:
    present(pbx.pbx.find_extension("2112", MCON)).toll_allow = "local"
    way = {"outbound_only": True} if level == "outbound" else {"suspend_by": level}
    service = service_of(pbx, **({"suspend_by": "extensions"} | way))
    if level == "gateway":
        service = service_of(pbx, "gateway")
    targets = [SwitchTarget(element, service) for element in elements_of(service)]
    assert await driver.live(targets) == set(elements_of(service))
    await outcomes_of(driver, service, off=True)
    assert await driver.live(targets) == frozenset()
    await restore(driver, service, values={"2112": "local"})
    assert await driver.live(targets) == set(elements_of(service))


async def test_without_an_answer_of_the_switch_no_drift_is_reported(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    service = service_of(pbx, "gateway")
    pbx.pbx.event_socket = False
    with pytest.raises(Retry, match="switch was not reached"):
        await driver.live([SwitchTarget(element, service) for element in elements_of(service)])


async def test_the_extensions_of_a_tenant_are_listed_on_all_pages(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    for number in range(3000, 3120):
        pbx.pbx.add_extension(SimulatedExtension(str(number), MCON))
    numbers = await driver.extensions_of(MCON.upper())
    assert numbers == {"2112", "2113", *map(str, range(3000, 3120))}
