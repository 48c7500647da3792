"""Services go off and on at a FusionPBX, confirmed by reading it back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ringfence_contracts.errors import Retry
from ringfence_simulators.faults import Fault
from ringfence_simulators.fusionpbx.access.logins import Session, redirect
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_simulators.fusionpbx.site import FusionPbxSite
from ringfence_simulators.fusionpbx.things import SimulatedExtension
from ringfence_testing.clock import FixedClock
from suspender.drivers.driver import ElementReading, OperatorMustAct, SwitchDone
from suspender.drivers.fusionpbx.driver import FusionPbxDriver
from tests.support.fusionpbx import (
    MCON,
    RUCKEN,
    can_call,
    outcomes_of,
    readings_of,
    restore,
    server_of,
    service_of,
    session_at,
    simulated,
    states_of,
    suspend,
)
from tests.support.narrow import expect, present

CLOCK = FixedClock(datetime(2026, 11, 21, 10, 2, 3, tzinfo=UTC))
TOGGLES = {
    "gateway": "/app/gateways/gateways.php",
    "extensions": "/app/extensions/extensions.php",
    "domain": "/core/domains/domains.php",
}


@pytest.fixture(params=["5.5", "5.6"])
async def pbx(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FusionPbxSimulator]:
    async with simulated(monkeypatch, line=request.param, rows_per_page=2) as simulator:
        yield simulator


@pytest.fixture
async def driver(pbx: FusionPbxSimulator) -> AsyncIterator[FusionPbxDriver]:
    driver = FusionPbxDriver("pbx-1", server_of(pbx.url), clock=CLOCK)
    yield driver
    await driver.aclose()


@pytest.fixture
async def admins_switch(pbx: FusionPbxSimulator) -> AsyncIterator[FusionPbxDriver]:
    driver = FusionPbxDriver("pbx-1", server_of(pbx.url, superadmin=False), clock=CLOCK)
    yield driver
    await driver.aclose()


def flips(pbx: FusionPbxSimulator, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every toggle of a stored flag from now on."""
    seen, real = [], pbx.pbx.toggle

    def noting(kind: str, uuid: str, **how: bool) -> bool:
        seen.append(kind)
        return real(kind, uuid, **how)

    monkeypatch.setattr(pbx.pbx, "toggle", noting)
    return seen


@pytest.mark.parametrize("level", ["gateway", "extensions", "domain"])
async def test_elements_are_switched_off_and_on_again(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, level: str
) -> None:
    service = service_of(pbx, level)
    assert can_call(pbx)
    assert await states_of(driver, service) == ["on"]
    evidence = await suspend(driver, service)
    assert await states_of(driver, service) == ["off"]
    assert not can_call(pbx)
    assert can_call(pbx, "2112", RUCKEN), "the other client goes on"
    assert "disabled" in evidence
    assert evidence.endswith("read back 10:02:03Z")
    assert "enabled" in await restore(driver, service)
    assert await states_of(driver, service) == ["on"]
    assert can_call(pbx)


async def test_the_evidence_describes_the_change(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    assert await suspend(driver, service_of(pbx, "gateway")) == (
        "gateway Trunk A disabled, killgw answered Trunk A: +OK gateway marked for deletion., "
        "not listed by the switch, read back 10:02:03Z"
    )
    assert await restore(driver, service_of(pbx, "gateway")) == (
        "gateway Trunk A enabled, listed by the switch (REGED), read back 10:02:03Z"
    )
    assert await suspend(driver, service_of(pbx, "domain")) == (
        f"domain {MCON} disabled, cache-flush answered +OK cache flushed, read back 10:02:03Z"
    )
    assert await suspend(driver, service_of(pbx)) == (
        "extension 2112 disabled, cache-flush answered +OK cache flushed, read back 10:02:03Z"
    )


@pytest.mark.parametrize("level", ["gateway", "extensions", "domain"])
async def test_an_element_in_the_desired_state_is_not_toggled(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    service = service_of(pbx, level)
    seen = flips(pbx, monkeypatch)
    await restore(driver, service)
    assert seen == []
    await suspend(driver, service)
    await suspend(driver, service)
    assert len(seen) == 1


async def test_only_the_extensions_that_differ_are_toggled(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(pbx, extensions=("2112", "2113"))
    uuid = present(pbx.pbx.find_extension("2112", MCON)).uuid
    pbx.pbx.toggle("extensions", uuid)
    assert await states_of(driver, service) == ["off", "on"]
    seen = flips(pbx, monkeypatch)
    await suspend(driver, service)
    assert seen == ["extensions"]
    assert not can_call(pbx, "2112")
    assert not can_call(pbx, "2113")


async def test_an_extension_with_the_same_number_in_another_domain_is_not_switched(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    await suspend(driver, service_of(pbx, tenant=RUCKEN))
    assert can_call(pbx, "2112", MCON)
    assert not can_call(pbx, "2112", RUCKEN)


async def test_a_session_that_is_in_the_wrong_domain_switches_nothing(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entering the domain had no effect, although the answer was a success."""
    monkeypatch.setattr(pbx.site, "_enter", lambda *_: redirect("/core/dashboard/"))
    with pytest.raises(Retry, match="not in the domain 'rucken"):
        await suspend(driver, service_of(pbx, tenant=RUCKEN))
    assert can_call(pbx, "2112", MCON)


async def test_an_admin_switches_the_extensions_of_its_own_domain(
    pbx: FusionPbxSimulator, admins_switch: FusionPbxDriver
) -> None:
    await suspend(admins_switch, service_of(pbx))
    assert not can_call(pbx)
    await restore(admins_switch, service_of(pbx))
    assert can_call(pbx)


@pytest.mark.parametrize("level", ["gateway", "domain"])
async def test_an_admins_key_cannot_switch_gateways_and_domains(
    pbx: FusionPbxSimulator, admins_switch: FusionPbxDriver, level: str
) -> None:
    with pytest.raises(OperatorMustAct, match=r"pbx-1 as mcon.* no right to see"):
        await suspend(admins_switch, service_of(pbx, level))


async def test_without_killgw_a_disabled_gateway_still_carries_calls(
    pbx: FusionPbxSimulator,
) -> None:
    """The reason for killgw: neither the flag nor the rescan of a toggle stops the gateway."""
    service = service_of(pbx, "gateway")
    (gateway,) = service.gateway_ids
    async with session_at(pbx.url) as session:
        listing = await session.list_rows("gateways", all_tenants=True)
        assert listing.rows[gateway].enabled
        await session.toggle("gateways", [gateway])
        await session.rescan("external")
        after = await session.list_rows("gateways", all_tenants=True)
        assert after.rows[gateway].enabled is False
        assert gateway in await session.live_gateways()
        assert can_call(pbx)
        await session.killgw("external", gateway)
        assert gateway not in await session.live_gateways()
    assert not can_call(pbx)


async def test_a_gateway_that_a_killed_process_left_live_is_stopped(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(pbx, "gateway")
    pbx.pbx.toggle("gateways", service.gateway_ids[0])
    assert can_call(pbx)
    seen = flips(pbx, monkeypatch)
    await suspend(driver, service)
    assert not can_call(pbx)
    assert seen == []


async def test_a_gateway_that_is_enabled_but_down_is_brought_up(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    service = service_of(pbx, "gateway")
    pbx.pbx.kill_gateway("external", service.gateway_ids[0])
    assert not can_call(pbx)
    await restore(driver, service)
    assert can_call(pbx)


async def test_a_gateway_that_stays_live_after_killgw_is_not_suspended(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pbx.pbx, "kill_gateway", lambda *_: None)
    monkeypatch.setattr("suspender.drivers.fusionpbx.trunks.PAUSE_S", 0.0)
    with pytest.raises(Retry, match="Trunk A disabled, but still live after killgw"):
        await suspend(driver, service_of(pbx, "gateway"))


async def test_without_a_cache_flush_a_disabled_domain_can_still_call(
    pbx: FusionPbxSimulator,
) -> None:
    assert can_call(pbx)
    domain = pbx.pbx.domains[MCON]
    async with session_at(pbx.url) as session:
        await session.toggle("domains", [domain.uuid])
        assert domain.enabled is False
        assert can_call(pbx), "its extensions are still in the cache"
        await session.cache_flush()
    assert not can_call(pbx)


@pytest.mark.parametrize("level", ["gateway", "extensions", "domain"])
async def test_a_toggle_that_was_refused_looks_like_one_that_was_not(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    """Both answer 302: only reading back shows the difference, and the next attempt succeeds."""
    service = service_of(pbx, level)
    real = type(pbx.site)._toggle
    monkeypatch.setattr(type(pbx.site), "_toggle", lambda *_: None)
    with pytest.raises(Retry, match="not disabled after the toggle"):
        await suspend(driver, service)
    monkeypatch.setattr(type(pbx.site), "_toggle", real)
    await suspend(driver, service)
    assert not can_call(pbx)


async def test_an_invalid_token_is_refused_without_an_error(pbx: FusionPbxSimulator) -> None:
    (gateway,) = service_of(pbx, "gateway").gateway_ids
    form = [("action", "toggle"), ("0a" * 32, "0b" * 32)]
    form += [("gateways[0][checked]", "true"), ("gateways[0][uuid]", gateway)]
    async with session_at(pbx.url) as session:
        answer = await session.page("POST", TOGGLES["gateway"], form=form)
        assert answer.redirects, "as if it had been done"
        listing = await session.list_rows("gateways", all_tenants=True)
    assert listing.rows[gateway].enabled is True


async def test_a_concurrent_toggle_by_a_person_is_detected_and_corrected(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person toggles the flag between our reading and our toggle, so that ours reverts it."""
    service = service_of(pbx, "gateway")
    real = type(pbx.site)._toggle
    first: list[str] = []

    def toggle_twice(
        site: FusionPbxSite, kind: str, session: Session, form: dict[str, str]
    ) -> None:
        if not first:
            first.append(kind)
            pbx.pbx.toggle("gateways", service.gateway_ids[0])
        real(site, kind, session, form)

    monkeypatch.setattr(type(pbx.site), "_toggle", toggle_twice)
    with pytest.raises(Retry, match="not disabled"):
        await suspend(driver, service)
    assert pbx.pbx.gateways[service.gateway_ids[0]].enabled, "flipped twice, and seen"
    await suspend(driver, service)
    assert not pbx.pbx.gateways[service.gateway_ids[0]].enabled
    assert not can_call(pbx)


async def test_several_tasks_at_once_toggle_each_flag_once(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each task has its own elements, of all ways, in two tenants."""
    services = [
        service_of(pbx, "gateway"),
        service_of(pbx, "gateway", gateway_ids=tuple(gateway_ids(pbx, "Trunk B"))),
        *(service_of(pbx, extensions=(number,)) for number in ("2112", "2113")),
        service_of(pbx, tenant=RUCKEN),
        service_of(pbx, "domain"),
    ]
    seen = flips(pbx, monkeypatch)
    await asyncio.gather(*(suspend(driver, service) for service in services))
    assert sorted(seen) == ["domains", *["extensions"] * 3, *["gateways"] * 2]
    await asyncio.gather(*(restore(driver, service) for service in services))
    assert sorted(seen) == ["domains"] * 2 + ["extensions"] * 6 + ["gateways"] * 4
    assert can_call(pbx)
    assert can_call(pbx, "2112", RUCKEN)


def gateway_ids(pbx: FusionPbxSimulator, *names: str) -> list[str]:
    return [g.uuid for g in pbx.pbx.gateways.values() if g.name in names]


async def test_a_session_lost_in_the_middle_is_renewed(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    service = service_of(pbx, tenant=RUCKEN)
    await suspend(driver, service)
    pbx.logins.sessions.clear()
    await restore(driver, service)
    assert can_call(pbx, "2112", RUCKEN)


@pytest.mark.parametrize("level", ["gateway", "extensions", "domain"])
async def test_a_session_lost_right_before_the_toggle_flips_once(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    """The token is lost with the session, and another one is requested."""
    service, seen = service_of(pbx, level), flips(pbx, monkeypatch)
    await states_of(driver, service)
    pbx.faults.planned += [
        Fault("slow", TOGGLES[level], value="0"),
        Fault("forget", TOGGLES[level]),
    ]
    await suspend(driver, service)
    assert len(seen) == 1
    assert not can_call(pbx)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"suspend_by": "gateway", "gateway_ids": ("not-there",)}, "found no gateway not-there"),
        ({"extensions": ("9999",)}, "found no extension 9999 of service svc-1"),
        ({"suspend_by": "domain", "tenant": "nobody.example.com"}, "found no domain to switch"),
    ],
)
async def test_a_missing_element_needs_a_person(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, changed: dict[str, Any], said: str
) -> None:
    service = service_of(pbx, **changed)
    assert await states_of(driver, service) == ["missing"]
    with pytest.raises(OperatorMustAct, match=said):
        await suspend(driver, service)
    assert can_call(pbx)


async def test_a_tenant_that_the_pbx_does_not_have_fails_alone(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    lost, sound = service_of(pbx, tenant="nobody.example.com"), service_of(pbx)
    outcomes = await outcomes_of(driver, lost, sound, off=True)
    failed, done = outcomes.values()
    assert isinstance(failed, OperatorMustAct)
    assert "has no domain 'nobody.example.com'" in str(failed)
    assert expect(SwitchDone, done).proven
    assert not can_call(pbx)


async def test_a_missing_element_does_not_delay_the_others(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    service = service_of(pbx, extensions=("2112", "2199"))
    done, failed = (await outcomes_of(driver, service, off=True)).values()
    assert "extension 2112 disabled" in expect(SwitchDone, done).evidence
    assert "found no extension 2199" in str(failed)
    readings = await readings_of(driver, service)
    assert [expect(ElementReading, reading).name for reading in readings] == ["2112", ""]


async def test_elements_on_later_pages_are_found(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    for number in range(3000, 3007):
        pbx.pbx.add_extension(SimulatedExtension(str(number), MCON))
    await suspend(driver, service_of(pbx, extensions=("3006",)))
    assert not can_call(pbx, "3006")
