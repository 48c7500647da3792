"""Switching by element: changes of products during a hold, and elements that were off before."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from ringfence.postgres.pool import open_pool
from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import Service
from ringfence_contracts.events.service import ServiceRestored, ServiceSuspended
from ringfence_testing.records import NOON
from suspender.rules.elements import Element
from suspender.store_elements import switch_off_again
from tests.support.suspender import SuspenderHarness, extension, order, products, profile

OFF = {"voip_suspended": "Yes", "voip_suspended_by": "import"}
GATEWAY = "11111111-2222-4333-8444-555555555555"
TRUNK = Element("gateway", "", GATEWAY)


@pytest.fixture
async def harness(database: str) -> AsyncIterator[SuspenderHarness]:
    async with await open_pool(database, service="suspender", size=8) as pool:
        yield SuspenderHarness(database, pool)


def product(*extensions: str, service_id: str = "svc-a", **fields: object) -> Service:
    """A product with these extensions."""
    (found,) = products(service_id, extensions=extensions, **fields)
    return found


async def held(harness: SuspenderHarness, *services: Service) -> None:
    """A client who is suspended for funds."""
    await harness.profile(services=services)
    await harness.zero()
    await harness.work_done()


# --- what was off before (SW18) ---


async def test_an_extension_that_was_off_before_is_left_off_by_the_restore(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.off_now = {extension("102")}
    await held(harness, product("101", "102"))
    assert harness.fake_pbx.off == {"101", "102"}
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == {"102"}
    assert "102 on" not in harness.fake_pbx.switched
    assert "102 was off before, left off" in (await harness.row("svc-a"))["evidence"]
    assert not await harness.sql("select from report.switched_off")


async def test_an_element_that_a_person_switched_on_becomes_ours_when_we_switch_it_off(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.off_now = {extension("102")}
    await held(harness, product("101", "102"))
    harness.fake_pbx.off_now.discard(extension("102"))
    await harness.command(
        "service.reapply", arguments={"account_id": "1001", "service_id": "svc-a"}
    )
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102"}
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == set()


async def test_a_restore_never_touches_what_is_off_and_not_on_record(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    await harness.restored()
    await harness.work_done()
    harness.fake_pbx.off_now = {extension("101")}
    await harness.command(
        "service.reapply", arguments={"account_id": "1001", "service_id": "svc-a"}
    )
    await harness.work_done()
    assert harness.fake_pbx.off == {"101"}
    assert "was off before, left off" in (await harness.row("svc-a"))["evidence"]


async def test_the_value_before_is_kept_and_restored(harness: SuspenderHarness) -> None:
    """The stored value of the right to call out is restored, also after a second suspension."""
    right = extension("101", "outbound")
    harness.fake_pbx.values[right] = "domestic,international"
    await held(harness, product("101", outbound_only=True))
    assert harness.fake_pbx.values[right] == ""
    await harness.command(
        "service.reapply", arguments={"account_id": "1001", "service_id": "svc-a"}
    )
    await harness.work_done()
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.values[right] == "domestic,international"


# --- what changes while held (SW5, SW8, SW9) ---


async def test_an_extension_that_is_added_while_held_is_switched_off(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    await harness.profile(2, services=(product("101", "102"),))
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102"}
    first, second = await harness.suspensions()
    assert (first.hold, second.hold) == (1, 1)


async def test_an_extension_added_in_shadow_is_switched_off_when_live_again(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    await harness.profile(2, mode="shadow", leave_off=True, services=(product("101"),))
    await harness.profile(3, mode="shadow", leave_off=True, services=(product("101", "102"),))
    assert await harness.settled()
    await harness.profile(4, services=(product("101", "102"),))
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102"}


async def test_what_leaves_the_product_stays_off_with_the_hold_and_is_released_with_it(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101", "102"))
    await harness.profile(2, services=(product("101"),))
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102"}
    rows = await harness.sql("select element from report.switched_off where left_behind")
    assert [row["element"] for row in rows] == ["102"]
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == set()
    assert await harness.on_record() == {}


async def test_a_new_way_is_confirmed_before_the_old_one_is_released(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    harness.fake_pbx.stuck[GATEWAY] = Retry("no answer to the toggle")
    by_trunk = product("101", suspend_by="gateway", gateway_ids=(GATEWAY,))
    await harness.profile(2, services=(by_trunk,))
    async with harness.working():
        await harness.until_attempted("svc-a", 2)
        assert harness.fake_pbx.off_now == {extension("101")}
        del harness.fake_pbx.stuck[GATEWAY]
        await harness.until_done()
    assert harness.fake_pbx.off_now == {TRUNK}
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off_now == set()


async def test_a_top_up_after_a_change_of_way_releases_both_ways(harness: SuspenderHarness) -> None:
    """If only the new way were restored, the telephones would stay off."""
    await held(harness, product("101"))
    by_trunk = product("101", suspend_by="gateway", gateway_ids=(GATEWAY,))
    await harness.send(profile(2, services=(by_trunk,)), harness.next_restored())
    await harness.work_done()
    assert harness.fake_pbx.off_now == set()
    assert await harness.on_record() == {}


async def test_a_product_that_moves_to_another_server_is_released_on_the_old_one(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    other = type(harness.fake_pbx)()
    await harness.profile(2, services=(product("101", server_id="pbx2"),))
    async with harness.working({"pbx1": harness.fake_pbx, "pbx2": other}):
        await harness.until_done("pbx1", "pbx2")
    assert (harness.fake_pbx.off, other.off) == (set(), {"101"})


# --- products that are removed and return (SW6, SW7) ---


async def test_a_product_that_is_removed_while_off_is_released_with_the_hold(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    await harness.profile(2, services=())
    await harness.work_done()
    assert harness.fake_pbx.off == {"101"}
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == set()
    assert isinstance((await harness.events())[-1], ServiceRestored)
    assert not await harness.sql("select from report.service_state")


async def test_a_product_that_returns_goes_on_with_its_sequence(harness: SuspenderHarness) -> None:
    """Event ids must not repeat: a consumer would drop the second suspension as a duplicate."""
    await held(harness, product("101"))
    await harness.profile(2, services=())
    await harness.restored()
    await harness.work_done()
    await harness.profile(3, services=(product("101"),))
    assert harness.fake_pbx.off == set()
    await harness.zero()
    await harness.work_done()
    assert harness.fake_pbx.off == {"101"}
    rows = await harness.sql("select event_id from suspender.outbox")
    assert len({row["event_id"] for row in rows}) == len(rows) == 3


async def test_a_product_that_returns_while_the_client_is_held_is_off(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    await harness.profile(2, services=())
    await harness.profile(3, services=(product("101", "102"),))
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102"}


async def test_an_extension_that_moves_to_a_client_with_funds_is_on_at_once(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    await harness.profile(1, "2002", services=(product("101", service_id="svc-b"),))
    await harness.profile(2, services=())
    await harness.work_done()
    assert harness.fake_pbx.off == set()
    assert [type(event) for event in await harness.events()] == [ServiceSuspended]
    await harness.zero("2002")
    await harness.work_done()
    assert harness.fake_pbx.off == {"101"}


async def test_an_extension_that_moves_to_another_held_client_stays_off(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    await harness.profile(2, services=())
    await harness.profile(1, "2002", services=(product("101", service_id="svc-b"),))
    await harness.zero("2002")
    await harness.work_done()
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == {"101"}
    (row,) = await harness.sql("select account_id, was_on from report.switched_off")
    assert tuple(row) == ("2002", True)
    await harness.restored("2002")
    await harness.work_done()
    assert harness.fake_pbx.off == set()


async def test_a_product_that_was_never_off_is_removed_without_an_event(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(services=(product("101"),))
    await harness.profile(2, services=())
    await harness.zero()
    await harness.work_done()
    assert await harness.events() == []
    assert harness.fake_pbx.calls == []


async def test_a_suspension_that_was_not_carried_out_is_given_up_with_its_product(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(services=(product("101"),))
    await harness.zero()
    await harness.profile(2, services=())
    assert await harness.settled()
    await harness.work_done()
    assert harness.fake_pbx.switched == []


# --- shared elements ---


async def test_a_gateway_of_two_products_is_off_only_while_both_are(
    harness: SuspenderHarness,
) -> None:
    shared: dict[str, Any] = {"suspend_by": "gateway", "gateway_ids": (GATEWAY,)}
    both = (product(**shared), product(service_id="svc-b", **shared))
    await harness.profile(services=both, orders=(order("manual", "svc-a"),))
    await harness.work_done()
    assert harness.fake_pbx.off == set()
    assert "stays on for another service" in (await harness.row("svc-a"))["evidence"]
    await harness.profile(2, services=both, orders=(order("manual"),))
    await harness.work_done()
    assert harness.fake_pbx.off == {GATEWAY}
    await harness.profile(3, services=both, orders=(order("manual", "svc-b"),))
    await harness.work_done()
    assert harness.fake_pbx.off == set()
    await harness.profile(4, services=both)
    await harness.work_done()
    assert await harness.on_record() == {}


# --- the rest of a tenant ---


async def test_the_rest_of_a_tenant_is_what_no_product_lists(harness: SuspenderHarness) -> None:
    harness.fake_pbx.extensions["north.example"] = {"101", "102", "103", "104"}
    await harness.profile(1, "2002", services=(product("104", service_id="svc-b"),))
    await held(harness, product("101", rest_of_tenant=True))
    assert harness.fake_pbx.off == {"101", "102", "103"}
    harness.fake_pbx.extensions["north.example"] |= {"105"}
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == set()


async def test_an_extension_of_the_rest_that_another_client_enters_is_on_at_once(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.extensions["north.example"] = {"101", "102", "103"}
    await held(harness, product("101", rest_of_tenant=True))
    assert harness.fake_pbx.off == {"101", "102", "103"}
    trunk = product("103", service_id="svc-b", suspend_by="gateway", gateway_ids=(GATEWAY,))
    await harness.profile(1, "2002", services=(trunk,))
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102"}


async def test_a_range_is_what_the_server_has_of_it_and_no_other_product_lists(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.extensions["north.example"] = {"099", "101", "103", "150", "199", "200"}
    listed = product("150", service_id="svc-b")
    rest = product(service_id="svc-c", rest_of_tenant=True)
    await harness.profile(1, "2002", services=(listed,))
    await harness.profile(1, "2003", services=(rest,))
    await held(harness, product(extension_ranges=("100-199",)))
    assert harness.fake_pbx.off == {"101", "103", "199"}
    await harness.profile(2, "2003", services=(rest,), orders=(order("manual"),))
    await harness.work_done()
    assert harness.fake_pbx.off == {"099", "101", "103", "199", "200"}
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == {"099", "200"}


async def test_an_extension_listed_by_a_held_client_goes_off_within_anothers_range(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.extensions["north.example"] = {"101", "150"}
    whole = product(service_id="svc-b", extension_ranges=("100-199",))
    await harness.profile(1, "2002", services=(whole,))
    await held(harness, product("150"))
    assert harness.fake_pbx.off == {"150"}


async def test_an_extension_that_a_held_client_lists_stays_on_if_he_is_switched_by_gateway(
    harness: SuspenderHarness,
) -> None:
    """It belongs to him alone, so that his way decides and not that of another's range."""
    harness.fake_pbx.extensions["north.example"] = {"101", "150"}
    trunk = product("150", service_id="svc-b", suspend_by="gateway", gateway_ids=(GATEWAY,))
    await harness.profile(1, "2002", services=(trunk,), orders=(order("manual"),))
    await harness.work_done()
    await held(harness, product(extension_ranges=("100-199",)))
    assert harness.fake_pbx.off == {GATEWAY, "101"}


async def test_an_extension_of_a_range_that_another_client_enters_is_on_at_once(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.extensions["north.example"] = {"101", "102", "103"}
    await held(harness, product(extension_ranges=("100-199",)))
    assert harness.fake_pbx.off == {"101", "102", "103"}
    await harness.profile(1, "2002", services=(product("103", service_id="svc-b"),))
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102"}


async def test_a_range_that_leaves_a_held_product_stays_off_until_its_release(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.extensions["north.example"] = {"101", "201"}
    await held(harness, product(extension_ranges=("100-199", "200-299")))
    assert harness.fake_pbx.off == {"101", "201"}
    await harness.profile(2, services=(product(extension_ranges=("100-199",)),))
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "201"}
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == set()


async def test_a_tenant_that_cannot_be_listed_fails_its_own_service_alone(
    harness: SuspenderHarness,
) -> None:
    rest = product(rest_of_tenant=True)
    await harness.profile(services=(rest, product("201", service_id="svc-b")))
    await harness.zero()
    async with harness.working():
        await harness.until_attempted("svc-a", 1)
        await harness.until_confirmed("svc-b")
    assert "found no extensions to switch" in (await harness.row("svc-a"))["last_error"]


# --- adoption ---


async def test_what_is_off_at_an_import_is_adopted_and_switched_on_with_the_hold(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.off_now = {extension("101")}
    await harness.profile(profile=OFF, services=(product("101", "102"),))
    await harness.zero(mail_owed=False)
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102"}
    rows = await harness.sql("select element, adopted from report.switched_off order by 1")
    assert [tuple(row) for row in rows] == [("101", True), ("102", False)]
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == set()


async def test_adoption_does_not_depend_on_profile_fields_that_we_write_later(
    harness: SuspenderHarness,
) -> None:
    """After the first product's confirmation, accounts writes the field; the second is adopted."""
    harness.fake_pbx.off_now = {extension("102")}
    await harness.profile(profile=OFF, services=(product("102"),))
    ours = {"voip_suspended": "Yes", "voip_suspended_by": "us"}
    await harness.profile(2, profile=ours, services=(product("102"),))
    await harness.zero(mail_owed=False)
    await harness.work_done()
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == set()


async def test_what_is_found_off_after_the_first_turn_is_not_adopted(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(profile=OFF, services=(product("101"),))
    await harness.zero(mail_owed=False)
    await harness.work_done()
    harness.fake_pbx.off_now.add(extension("102"))
    await harness.profile(2, profile=OFF, services=(product("101", "102"),))
    await harness.work_done()
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == {"102"}


# --- missing elements ---


async def test_a_missing_extension_is_a_remark_in_the_evidence(harness: SuspenderHarness) -> None:
    harness.fake_pbx.missing = {"102"}
    await held(harness, product("101", "102"))
    assert "102 not on the server" in (await harness.row("svc-a"))["evidence"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"extensions": ("101",)}, "found no extensions to switch"),
        ({"extensions": ()}, "found no extensions to switch"),
        ({"suspend_by": "domain"}, "found no domain"),
        ({"suspend_by": "gateway", "gateway_ids": (GATEWAY, "aa")}, f"found no gateway {GATEWAY}"),
    ],
)
async def test_a_product_that_names_only_missing_elements_needs_a_person(
    harness: SuspenderHarness, fields: dict[str, object], words: str
) -> None:
    harness.fake_pbx.missing = {"101", "north.example", GATEWAY}
    await harness.profile(services=products("svc-a", **fields))
    await harness.zero()
    async with harness.working():
        await harness.until_attempted("svc-a", 1)
    row = await harness.row("svc-a")
    assert words in row["last_error"]
    assert "'north.example': correct the product" in row["last_error"]
    assert row["confirmed"] is None


async def test_records_survive_while_the_server_hides_all_extensions(
    harness: SuspenderHarness,
) -> None:
    """Lost rights look like deleted extensions: no record may be deleted."""
    await held(harness, product("101"))
    harness.fake_pbx.missing = {"101"}
    await harness.restored()
    async with harness.working():
        await harness.until_attempted("svc-a", 2)
        assert await harness.on_record() == {"101": True}
        harness.fake_pbx.missing = set()
        await harness.until_done()
    assert harness.fake_pbx.off == set()


# --- what a person switched on (SW17) ---


async def test_what_a_person_switched_on_is_switched_off_again_without_an_event(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101", "102"))
    harness.fake_pbx.off_now.discard(extension("101"))
    events = await harness.events()
    assert await repair(harness, "101", "999") == [extension("101")]
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102"}
    assert await harness.events() == events
    assert await harness.on_record() == {"101": True, "102": True}


async def test_a_repair_that_fails_is_retried_with_back_off_and_raises_an_alarm(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    harness.fake_pbx.stuck["101"] = Retry("toggle not done")
    await repair(harness, "101")
    async with harness.working():
        await harness.until_alarm("element-not-released")
        (row,) = await harness.sql("select attempts, last_error from report.switched_off")
        assert row["attempts"] >= 3
        assert row["last_error"] == "toggle not done"
        del harness.fake_pbx.stuck["101"]
        await harness.until_done()
    assert [state for key, _, state in await harness.alarms()] == ["raised", "ended"]


async def test_a_loose_release_that_fails_raises_an_alarm_and_is_retried(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    harness.fake_pbx.stuck["101"] = Retry("toggle not done")
    await harness.profile(1, "2002", services=(product("101", service_id="svc-b"),))
    async with harness.working():
        await harness.until_alarm("element-not-released")
        (alarm,) = await harness.sql("select message from report.alarm where ended_at is null")
        assert "cannot be switched on again: toggle not done" in alarm["message"]
        del harness.fake_pbx.stuck["101"]
        await harness.until_done()
    assert harness.fake_pbx.off == set()


async def test_a_loose_release_that_is_no_longer_needed_ends_its_alarm(
    harness: SuspenderHarness,
) -> None:
    await held(harness, product("101"))
    harness.fake_pbx.stuck["101"] = Retry("toggle not done")
    await harness.profile(1, "2002", services=(product("101", service_id="svc-b"),))
    async with harness.working():
        await harness.until_alarm("element-not-released")
        await harness.profile(2, "2002", services=())
        await harness.until_done()
    assert [state for key, _, state in await harness.alarms()] == ["raised", "ended"]
    assert harness.fake_pbx.off == {"101"}


async def test_a_suspension_that_waits_for_the_brake_keeps_shared_elements_on(
    harness: SuspenderHarness,
) -> None:
    """One product of the trunk is off by an order, the other only waits for the brake."""
    shared: dict[str, Any] = {"suspend_by": "gateway", "gateway_ids": (GATEWAY,)}
    both = (product(**shared), product(service_id="svc-b", **shared))
    await harness.sql("update suspender.brake set on_since = now()")
    await harness.profile(services=both)
    await harness.zero()
    await harness.profile(2, services=both, orders=(order("manual", "svc-a"),))
    await harness.work_done()
    assert harness.fake_pbx.off == set()
    await harness.sql("update suspender.brake set on_since = null")
    await harness.work_done()
    assert harness.fake_pbx.off == {GATEWAY}


async def repair(harness: SuspenderHarness, *names: str) -> list[Element]:
    """Have these extensions switched off again, as the drift loop does."""
    async with harness.store.pool.acquire() as connection:
        elements = [extension(name) for name in names]
        return await switch_off_again(connection, "pbx1", elements, NOON + timedelta(0))
