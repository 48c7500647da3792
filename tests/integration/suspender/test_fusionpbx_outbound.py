"""The right to call out (toll_allow) is taken away and restored by the extension's form."""

from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import Service
from ringfence_simulators.faults import Fault, FaultKind
from ringfence_simulators.fusionpbx.access.logins import redirect
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_simulators.fusionpbx.things import Route, SimulatedExtension
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
    simulated,
    states_of,
    suspend,
)
from tests.support.narrow import expect, present

CLOCK = FixedClock(datetime(2026, 11, 21, 10, 2, 3, tzinfo=UTC))
VALUE = "domestic:local"
DOWNLOAD, EDIT = "/app/extensions/extension_download.php", "/app/extensions/extension_edit.php"


@pytest.fixture(params=["5.5", "5.6"])
async def pbx(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FusionPbxSimulator]:
    async with simulated(monkeypatch, line=request.param) as simulator:
        simulator.pbx.add_route(Route("out", toll_allow="local"))
        for extension in simulator.pbx.extensions.values():
            extension.toll_allow = VALUE
            extension.accountcode = f'code "{extension.number}", <b>&amp;</b>'
            extension.caller_name = "Front, Desk\nsecond line"
            extension.form["description"] = "Zoë's phone"
        yield simulator


@pytest.fixture
async def driver(pbx: FusionPbxSimulator) -> AsyncIterator[FusionPbxDriver]:
    driver = FusionPbxDriver("pbx-1", server_of(pbx.url), clock=CLOCK)
    yield driver
    await driver.aclose()


def extension_of(
    pbx: FusionPbxSimulator, number: str = "2112", domain: str = MCON
) -> SimulatedExtension:
    return present(pbx.pbx.find_extension(number, domain))


def product(pbx: FusionPbxSimulator, **changed: Any) -> Service:
    return service_of(pbx, outbound_only=True, **changed)


def without(pbx: FusionPbxSimulator, *rights: str) -> None:
    pbx.pbx.users[0].without += rights


def calls(pbx: FusionPbxSimulator, number: str = "14165550100", *, inbound: bool = False) -> bool:
    return pbx.pbx.can_call(extension_of(pbx), number=number, inbound=inbound)[0]


async def test_only_outbound_calls_are_blocked(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    before = deepcopy(pbx.pbx.extensions)
    assert calls(pbx)
    reading = expect(ElementReading, (await readings_of(driver, product(pbx)))[0])
    assert (reading.state, reading.value, reading.name) == ("on", VALUE, "2112")
    assert await suspend(driver, product(pbx)) == (
        "extension 2112 may not call out (toll_allow emptied), cache-flush answered +OK cache "
        "flushed, read back 10:02:03Z"
    )
    assert not calls(pbx)
    assert calls(pbx, "911")
    assert calls(pbx, inbound=True)
    assert can_call(pbx, "2113")
    assert can_call(pbx, "2112", RUCKEN)
    assert expect(ElementReading, (await readings_of(driver, product(pbx)))[0]).state == "off"
    assert await restore(driver, product(pbx), values={"2112": VALUE}) == (
        f"extension 2112 may call out (toll_allow '{VALUE}'), cache-flush answered +OK cache "
        "flushed, read back 10:02:03Z"
    )
    assert calls(pbx)
    for uuid, extension in pbx.pbx.extensions.items():
        stored = before[uuid]
        assert (extension.toll_allow, extension.password) == (VALUE, stored.password)
        assert extension.accountcode == stored.accountcode
        assert extension.caller_name.split() == stored.caller_name.split()
        assert extension.user_context == stored.user_context
        assert extension.domain == stored.domain
        assert extension.enabled
        assert extension.form.get("description") == "Zoë's phone"


async def test_an_extension_in_the_desired_state_is_not_saved_again(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = noted_saves(pbx, monkeypatch)
    await restore(driver, product(pbx), values={"2112": VALUE})
    assert saves == []
    await suspend(driver, product(pbx))
    await suspend(driver, product(pbx))
    assert len(saves) == 1


def noted_saves(pbx: FusionPbxSimulator, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    saves: list[str] = []
    real = pbx.pbx.save_extension

    def noting(extension: SimulatedExtension) -> None:
        saves.append(extension.number)
        real(extension)

    monkeypatch.setattr(pbx.pbx, "save_extension", noting)
    return saves


async def test_extensions_of_many_tenants_are_switched_together(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    products = []
    for number in range(12):
        tenant = f"t{number}.example.com"
        for name in ("101", "102"):
            pbx.pbx.add_extension(SimulatedExtension(name, tenant, toll_allow=VALUE))
        products.append(product(pbx, tenant=tenant, extensions=("101",)))
    outcomes = await outcomes_of(driver, *products, off=True)
    assert all(isinstance(outcome, SwitchDone) for outcome in outcomes.values())
    for extension in pbx.pbx.extensions.values():
        assert extension.toll_allow == ("" if extension.number == "101" else VALUE)


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ("extension_toll", "does not show toll_allow: give the key's user extension_toll"),
        ("extension_password", "does not show its password.*extension_password"),
        ("extension_extension", "does not show its number.*extension_extension"),
    ],
)
async def test_a_field_that_is_not_shown_is_not_saved(
    pbx: FusionPbxSimulator,
    driver: FusionPbxDriver,
    monkeypatch: pytest.MonkeyPatch,
    right: str,
    said: str,
) -> None:
    saves = noted_saves(pbx, monkeypatch)
    without(pbx, right)
    with pytest.raises(OperatorMustAct, match=said):
        await suspend(driver, product(pbx))
    assert saves == []
    assert calls(pbx)


async def test_without_the_right_to_edit_nothing_is_saved(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = noted_saves(pbx, monkeypatch)
    without(pbx, "extension_edit", "extension_add")
    with pytest.raises(OperatorMustAct, match="extension_edit"):
        await suspend(driver, product(pbx))
    assert saves == []


async def test_a_save_that_is_reported_but_not_done_is_detected(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    pbx.faults.planned.append(Fault("toggle-lies", value=extension_of(pbx).uuid))
    service = product(pbx, extensions=("2112", "2113"))
    failed, done = (await outcomes_of(driver, service, off=True)).values()
    assert isinstance(failed, Retry)
    assert f"toll_allow of extension 2112 is '{VALUE}' after saving ''" in str(failed)
    assert isinstance(done, SwitchDone)
    await suspend(driver, service)
    assert not calls(pbx)


async def test_a_value_is_chosen_from_a_list_of_names(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    pbx.pbx.toll_names += ["local", "international"]
    extension_of(pbx).toll_allow = "local"
    await suspend(driver, product(pbx))
    assert extension_of(pbx).toll_allow == ""
    await restore(driver, product(pbx), values={"2112": "local"})
    assert extension_of(pbx).toll_allow == "local"


async def test_a_value_that_is_no_option_of_the_list_is_not_lost(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = noted_saves(pbx, monkeypatch)
    pbx.pbx.toll_names += ["local", "international"]
    with pytest.raises(OperatorMustAct, match=r"offers a list for toll_allow.*is no option"):
        await suspend(driver, product(pbx))
    assert saves == []
    assert extension_of(pbx).toll_allow == VALUE


async def test_a_value_of_another_list_is_not_lost_either(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = noted_saves(pbx, monkeypatch)
    extension_of(pbx).form["hold_music"] = "local_stream://special"
    with pytest.raises(OperatorMustAct, match=r"list for hold_music.*'local_stream://special'"):
        await suspend(driver, product(pbx))
    assert saves == []


async def test_a_list_with_nothing_selected_keeps_what_is_empty(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    """A browser would send the first option, here: true."""
    extension_of(pbx).form["directory_visible"] = ""
    await suspend(driver, product(pbx))
    assert extension_of(pbx).form["directory_visible"] == ""


async def test_without_the_right_to_download_the_form_is_read(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    without(pbx, "extension_export")
    reading = expect(ElementReading, (await readings_of(driver, product(pbx)))[0])
    assert (reading.state, reading.value) == ("on", VALUE)
    await suspend(driver, product(pbx))
    assert not calls(pbx)
    assert await states_of(driver, product(pbx)) == ["off"]
    await restore(driver, product(pbx), values={"2112": VALUE})
    assert extension_of(pbx).toll_allow == VALUE


async def test_without_the_download_a_list_with_nothing_selected_is_not_known(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    without(pbx, "extension_export")
    pbx.pbx.toll_names += ["local", "international"]
    service = product(pbx)
    with pytest.raises(OperatorMustAct, match=r"its stored value is not known.*extension_export"):
        await suspend(driver, service)
    assert extension_of(pbx).toll_allow == VALUE


async def test_without_extension_domain_the_extension_stays_in_its_domain(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    """On 5.5 it would move to the domain of the key's user if its own were not entered first."""
    without(pbx, "extension_domain")
    await suspend(driver, product(pbx, tenant=RUCKEN))
    assert extension_of(pbx, domain=RUCKEN).toll_allow == ""
    assert extension_of(pbx).toll_allow == VALUE


async def test_a_login_that_is_in_the_wrong_domain_saves_nothing(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entering the domain had no effect, although the answer was a success."""
    saves = noted_saves(pbx, monkeypatch)
    monkeypatch.setattr(pbx.site, "_enter", lambda *_: redirect("/core/dashboard/"))
    with pytest.raises(Retry, match="not in the domain 'rucken"):
        await suspend(driver, product(pbx, tenant=RUCKEN))
    assert saves == []


async def test_an_admins_key_switches_its_own_tenant(pbx: FusionPbxSimulator) -> None:
    driver = FusionPbxDriver("pbx-1", server_of(pbx.url, superadmin=False), clock=CLOCK)
    assert "switch not asked" in await suspend(driver, product(pbx))
    assert extension_of(pbx).toll_allow == ""
    await driver.aclose()


@pytest.mark.parametrize("kind", ["cut-quiet", "html", "status", "drop", "forget"])
@pytest.mark.parametrize("path", [DOWNLOAD, EDIT])
@pytest.mark.parametrize("which", range(4))
async def test_no_spoiled_answer_destroys_stored_values(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, kind: FaultKind, path: str, which: int
) -> None:
    before = deepcopy(extension_of(pbx))
    await states_of(driver, product(pbx))
    spoiled = Fault(kind, path, {"status": "500", "html": "<p>Fatal error</p>"}.get(kind, ""))
    pbx.faults.planned = [*([Fault("slow", path, "0", times=which)] if which else []), spoiled]
    for _ in range(3):
        try:
            await suspend(driver, product(pbx))
            break
        except (Retry, OperatorMustAct):
            continue
    pbx.faults.planned.clear()
    await suspend(driver, product(pbx))
    after = extension_of(pbx)
    assert after.toll_allow == ""
    assert (after.password, after.accountcode) == (before.password, before.accountcode)
    assert (after.enabled, after.user_context) == (True, before.user_context)


async def test_a_field_that_a_save_destroyed_is_reported(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FusionPBX version whose page stores other values than it shows."""
    real = pbx.pbx.save_extension

    def also_emptying(extension: SimulatedExtension) -> None:
        extension.accountcode = ""
        real(extension)

    monkeypatch.setattr(pbx.pbx, "save_extension", also_emptying)
    with pytest.raises(OperatorMustAct, match=r"changed its accountcode from .* to ''"):
        await suspend(driver, product(pbx))


async def test_a_nonexistent_extension_is_missing(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    service = product(pbx, extensions=("2112", "9999"))
    assert await states_of(driver, service) == ["on", "missing"]
    done, failed = (await outcomes_of(driver, service, off=True)).values()
    assert isinstance(done, SwitchDone)
    assert "found no extension 9999" in str(failed)


async def test_a_value_that_a_person_entered_since_stays(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await suspend(driver, product(pbx))
    extension_of(pbx).toll_allow = "local"
    saves = noted_saves(pbx, monkeypatch)
    assert "toll_allow 'local'" in await restore(driver, product(pbx), values={"2112": VALUE})
    assert saves == []
    assert extension_of(pbx).toll_allow == "local"


async def test_a_value_that_is_not_on_record_cannot_be_restored(
    pbx: FusionPbxSimulator, driver: FusionPbxDriver
) -> None:
    await suspend(driver, product(pbx))
    with pytest.raises(OperatorMustAct, match=r"extension 2112 is empty.*set it by hand"):
        await restore(driver, product(pbx))
