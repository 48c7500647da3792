"""The inventory of a FusionPBX is complete, and reports what the key may not see."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ringfence_contracts.errors import Retry
from ringfence_simulators.faults import Fault
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_simulators.fusionpbx.things import Destination, Gateway, Route
from ringfence_testing.clock import FixedClock
from suspender.drivers.driver import Inventory, ServerItem
from suspender.drivers.fusionpbx.driver import FusionPbxDriver
from tests.support.fusionpbx import MCON, RUCKEN, server_of, simulated
from tests.support.narrow import present


@pytest.fixture(params=["5.5", "5.6"])
async def pbx(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FusionPbxSimulator]:
    async with simulated(monkeypatch, line=request.param, rows_per_page=2) as simulator:
        present(simulator.pbx.find_extension("2113", MCON)).caller_name = "Ada & Co"
        simulator.pbx.add_gateway(Gateway("Everybody's"))
        simulator.pbx.add_destination(
            Destination("14165550100", MCON, "2112", description="main line")
        )
        simulator.pbx.add_destination(Destination("14165550199", RUCKEN, enabled=False))
        simulator.pbx.toggle(
            "extensions", present(simulator.pbx.find_extension("2112", RUCKEN)).uuid
        )
        yield simulator


async def inventory(pbx: FusionPbxSimulator, **server: Any) -> Inventory:
    driver = FusionPbxDriver("pbx-1", server_of(pbx.url, **server), clock=FixedClock())
    try:
        return await driver.inventory()
    finally:
        await driver.aclose()


def of(found: Inventory, kind: str) -> list[tuple[Any, ...]]:
    return sorted(item for item in map(plain, found.items) if item[0] == kind)


def plain(item: ServerItem) -> tuple[Any, ...]:
    return (item.kind, item.tenant, item.name, item.label, item.enabled)


async def test_everything_is_listed(pbx: FusionPbxSimulator) -> None:
    found = await inventory(pbx)
    assert found.gaps == ()
    assert of(found, "tenant") == [
        ("tenant", MCON, MCON, "", True),
        ("tenant", RUCKEN, RUCKEN, "", True),
    ]
    assert of(found, "extension") == [
        ("extension", MCON, "2112", "", True),
        ("extension", MCON, "2113", "Ada & Co", True),
        ("extension", RUCKEN, "2112", "", False),
    ]
    assert of(found, "gateway") == [
        ("gateway", "", "Everybody's", "", True),
        ("gateway", MCON, "Trunk A", "", True),
        ("gateway", RUCKEN, "Trunk B", "", True),
    ]
    assert of(found, "did") == [
        ("did", MCON, "14165550100", "main line", True),
        ("did", RUCKEN, "14165550199", "", False),
    ]
    known = {uuid for kind in ("gateways", "extensions") for uuid in pbx.pbx.listed(kind)}
    assert known <= {item.uuid for item in found.items}


async def test_the_extension_that_a_did_rings_is_read(pbx: FusionPbxSimulator) -> None:
    found = await inventory(pbx)
    assert {item.name: item.leads_to for item in found.items if item.kind == "did"} == {
        "14165550100": "2112",
        "14165550199": "",
    }


async def test_without_the_download_right_destinations_of_dids_are_a_gap(
    pbx: FusionPbxSimulator,
) -> None:
    pbx.pbx.users[0].without.append("destination_export")
    found = await inventory(pbx)
    assert len(of(found, "did")) == 2
    (gap,) = found.gaps
    assert "where DIDs lead" in gap
    assert "destination_export" in gap


@pytest.mark.parametrize(
    ("right", "kind"),
    [
        ("extension_view", "extension"),
        ("destination_view", "did"),
        ("gateway_view", "gateway"),
        ("domain_view", "tenant"),
        ("extension_all", "extension"),
        ("destination_all", "did"),
        ("gateway_all", "gateway"),
    ],
)
async def test_a_missing_right_is_named_in_a_gap(
    pbx: FusionPbxSimulator, right: str, kind: str
) -> None:
    pbx.pbx.users[0].without.append(right)
    found = await inventory(pbx)
    assert of(found, kind) == []
    assert any(right in gap for gap in found.gaps)


@pytest.mark.parametrize(
    ("routes", "tested"),
    [
        ([Route("Out", toll_allow="domestic"), Route("Old", enabled=False)], True),
        ([Route("Out", toll_allow="domestic"), Route("Other")], False),
        ([], None),
    ],
)
async def test_it_is_read_whether_outbound_routes_test_toll_allow(
    pbx: FusionPbxSimulator, routes: list[Route], tested: bool | None
) -> None:
    for route in routes:
        pbx.pbx.add_route(route)
    found = await inventory(pbx)
    assert (found.tests_toll_allow, found.gaps) == (tested, ())


async def test_hidden_outbound_routes_are_a_gap(pbx: FusionPbxSimulator) -> None:
    pbx.pbx.add_route(Route("Out", toll_allow="domestic"))
    pbx.pbx.users[0].without.append("outbound_route_view")
    found = await inventory(pbx)
    assert found.tests_toll_allow is None
    assert "outbound routes not read: the key's user needs outbound_route_view" in found.gaps[0]


async def test_each_tenant_is_read_with_its_own_key(pbx: FusionPbxSimulator) -> None:
    found = await inventory(pbx, superadmin=False)
    assert {item.tenant for item in found.items} == {MCON}
    assert of(found, "extension")[0] == ("extension", MCON, "2112", "", True)
    assert ServerItem("tenant", MCON, MCON) in found.items
    assert any("gateways not read" in gap for gap in found.gaps)


async def test_a_server_that_does_not_answer_has_no_inventory(pbx: FusionPbxSimulator) -> None:
    pbx.faults.planned.append(Fault("status", "/app/extensions", "500"))
    with pytest.raises(Retry, match="status 500"):
        await inventory(pbx)
