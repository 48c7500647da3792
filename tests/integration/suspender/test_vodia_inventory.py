"""The inventory of a Vodia is complete, and reports what could not be read."""

from collections.abc import AsyncIterator

import pytest

from ringfence_contracts.errors import Retry
from ringfence_simulators.faults import Fault
from ringfence_simulators.vodia.app import VodiaSimulator
from ringfence_testing.clock import FixedClock
from suspender.drivers.driver import OperatorMustAct, ServerItem
from suspender.drivers.vodia.driver import VodiaDriver
from tests.support.vodia import CFFM, RUCKEN, server_of, simulated


@pytest.fixture
async def pbx(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VodiaSimulator]:
    async with simulated(monkeypatch, lists_accounts="users") as simulator:
        hunt = {"number": "700", "domain": CFFM, "type": "hunts", "aliases": ["+15484815578"]}
        simulator.pbx.add({"extensions": [hunt]})
        simulator.pbx.extensions[CFFM, "2112"].aliases = ["5484815577", "12"]
        simulator.pbx.extensions[CFFM, "2113"].disabled = True
        yield simulator


@pytest.fixture
async def driver(pbx: VodiaSimulator) -> AsyncIterator[VodiaDriver]:
    driver = VodiaDriver("pbx-2", server_of(pbx.url), clock=FixedClock())
    yield driver
    await driver.aclose()


TRUNKS = {
    ServerItem("gateway", CFFM, "Trunk A", "10", enabled=True),
    ServerItem("gateway", RUCKEN, "Trunk B", "11", enabled=True),
    ServerItem("gateway", "", "Everybody's", "12", "global: never switched", enabled=True),
}
TENANTS = {ServerItem("tenant", CFFM, CFFM), ServerItem("tenant", RUCKEN, RUCKEN)}


async def test_everything_is_listed_once(pbx: VodiaSimulator, driver: VodiaDriver) -> None:
    found = await driver.inventory()
    assert found.gaps == ()
    assert len(found.items) == len(set(found.items))
    assert set(found.items) == {
        *TENANTS,
        *TRUNKS,
        ServerItem("extension", CFFM, "2112", label="CFFM Kitchener", enabled=True),
        ServerItem("extension", CFFM, "2113", enabled=False),
        ServerItem("extension", RUCKEN, "2112", enabled=True),
        ServerItem("did", CFFM, "5484815577", label="CFFM Kitchener", leads_to="2112"),
        ServerItem("did", CFFM, "+15484815578"),
    }
    assert pbx.site.orders == []


async def test_the_other_list_format_shows_neither_states_nor_dids(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    pbx.pbx.habits.lists_accounts = "userlist"
    extensions = {item for item in (await driver.inventory()).items if item.kind == "extension"}
    assert extensions == {
        ServerItem("extension", CFFM, "2112", label="CFFM Kitchener"),
        ServerItem("extension", CFFM, "2113"),
        ServerItem("extension", RUCKEN, "2112"),
    }


async def test_what_is_not_listed_is_a_gap_in_words(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    pbx.pbx.habits.lists_accounts = "no"
    found = await driver.inventory()
    assert set(found.items) == TENANTS | TRUNKS
    assert [gap.split(":")[0] for gap in found.gaps] == [
        f"extensions and DIDs of {CFFM}",
        f"extensions and DIDs of {RUCKEN}",
    ]


async def test_without_the_right_to_list_tenants_those_of_the_servers_file_are_read(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    pbx.pbx.habits.hidden_domains = True
    found = await driver.inventory()
    assert set(found.items) > TENANTS
    assert "tenants are those of the servers file" in found.gaps[0]


async def test_one_tenant_that_cannot_be_read_is_a_gap(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    pbx.faults.planned = [Fault("status", f"/rest/domain/{CFFM}", "500", times=9)]
    found = await driver.inventory()
    assert f"trunks of {CFFM}: pbx-2: status 500" in found.gaps[0]
    assert ServerItem("gateway", RUCKEN, "Trunk B", "11", enabled=True) in found.items


async def test_a_server_that_refuses_or_does_not_answer_raises(
    pbx: VodiaSimulator, driver: VodiaDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    pbx.faults.planned = [Fault("status", "/rest", "500", times=9)]
    with pytest.raises(Retry):
        await driver.inventory()
    with pytest.raises(Retry):
        await driver.extensions_of(CFFM)
    pbx.faults.planned = [Fault("status", "/rest", "403", times=99)]
    with pytest.raises(OperatorMustAct, match="API access"):
        await driver.inventory()
    with pytest.raises(OperatorMustAct, match="API access"):
        await driver.extensions_of(CFFM)


async def test_a_tenants_extensions_are_those_of_its_list(
    pbx: VodiaSimulator, driver: VodiaDriver
) -> None:
    assert await driver.extensions_of(CFFM) == {"2112", "2113"}
    pbx.pbx.habits.lists_accounts = "no"
    with pytest.raises(OperatorMustAct, match=r"list them in the product in place of \*"):
        await driver.extensions_of(CFFM)
