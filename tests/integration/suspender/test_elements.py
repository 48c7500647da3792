"""What is switched, element by element: what changes while held, and what was not ours."""

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
async def office(database: str) -> AsyncIterator[SuspenderHarness]:
    async with await open_pool(database, service="suspender", size=8) as pool:
        yield SuspenderHarness(database, pool)


def product(*extensions: str, service_id: str = "svc-a", **fields: object) -> Service:
    """A product with these extensions."""
    (found,) = products(service_id, extensions=extensions, **fields)
    return found


async def held(office: SuspenderHarness, *services: Service) -> None:
    """A client who is off for his funds."""
    await office.profile(services=services)
    await office.zero()
    await office.work_done()


# --- what was off before (SW18) ---


async def test_an_extension_that_was_off_before_is_left_off_by_the_restore(
    office: SuspenderHarness,
) -> None:
    office.panel.off_now = {extension("102")}
    await held(office, product("101", "102"))
    assert office.panel.off == {"101", "102"}
    await office.restored()
    await office.work_done()
    assert office.panel.off == {"102"}
    assert "102 on" not in office.panel.switched
    assert "102 was off before, left off" in (await office.row("svc-a"))["evidence"]
    assert not await office.sql("select from report.switched_off")


async def test_an_element_that_a_person_switched_on_becomes_ours_when_we_switch_it_off(
    office: SuspenderHarness,
) -> None:
    office.panel.off_now = {extension("102")}
    await held(office, product("101", "102"))
    office.panel.off_now.discard(extension("102"))
    await office.command("service.reapply", arguments={"account_id": "1001", "service_id": "svc-a"})
    await office.work_done()
    assert office.panel.off == {"101", "102"}
    await office.restored()
    await office.work_done()
    assert office.panel.off == set()


async def test_a_restore_never_touches_what_is_off_and_not_on_record(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    await office.restored()
    await office.work_done()
    office.panel.off_now = {extension("101")}
    await office.command("service.reapply", arguments={"account_id": "1001", "service_id": "svc-a"})
    await office.work_done()
    assert office.panel.off == {"101"}
    assert "was off before, left off" in (await office.row("svc-a"))["evidence"]


async def test_the_value_before_is_kept_and_restored(office: SuspenderHarness) -> None:
    """The right to call out: what was stored in its place comes back, also after a second turn."""
    right = extension("101", "outbound")
    office.panel.values[right] = "domestic,international"
    await held(office, product("101", outbound_only=True))
    assert office.panel.values[right] == ""
    await office.command("service.reapply", arguments={"account_id": "1001", "service_id": "svc-a"})
    await office.work_done()
    await office.restored()
    await office.work_done()
    assert office.panel.values[right] == "domestic,international"


# --- what changes while held (SW5, SW8, SW9) ---


async def test_an_extension_that_is_added_while_held_is_switched_off(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    await office.profile(2, services=(product("101", "102"),))
    await office.work_done()
    assert office.panel.off == {"101", "102"}
    first, second = await office.suspensions()
    assert (first.hold, second.hold) == (1, 1)


async def test_an_extension_added_in_shadow_is_switched_off_when_live_again(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    await office.profile(2, mode="shadow", leave_off=True, services=(product("101"),))
    await office.profile(3, mode="shadow", leave_off=True, services=(product("101", "102"),))
    assert await office.settled()
    await office.profile(4, services=(product("101", "102"),))
    await office.work_done()
    assert office.panel.off == {"101", "102"}


async def test_what_leaves_the_product_stays_off_with_the_hold_and_is_released_with_it(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101", "102"))
    await office.profile(2, services=(product("101"),))
    await office.work_done()
    assert office.panel.off == {"101", "102"}
    rows = await office.sql("select element from report.switched_off where left_behind")
    assert [row["element"] for row in rows] == ["102"]
    await office.restored()
    await office.work_done()
    assert office.panel.off == set()
    assert await office.on_record() == {}


async def test_a_new_way_is_confirmed_before_the_old_one_is_released(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    office.panel.stuck[GATEWAY] = Retry("no answer to the toggle")
    by_trunk = product("101", suspend_by="gateway", gateway_ids=(GATEWAY,))
    await office.profile(2, services=(by_trunk,))
    async with office.working():
        await office.until_attempted("svc-a", 2)
        assert office.panel.off_now == {extension("101")}
        del office.panel.stuck[GATEWAY]
        await office.until_done()
    assert office.panel.off_now == {TRUNK}
    await office.restored()
    await office.work_done()
    assert office.panel.off_now == set()


async def test_a_top_up_after_a_change_of_way_releases_both_ways(office: SuspenderHarness) -> None:
    """Restored by the new way alone, the telephones stayed dead."""
    await held(office, product("101"))
    by_trunk = product("101", suspend_by="gateway", gateway_ids=(GATEWAY,))
    await office.send(profile(2, services=(by_trunk,)), office.next_restored())
    await office.work_done()
    assert office.panel.off_now == set()
    assert await office.on_record() == {}


async def test_a_product_that_moves_to_another_server_is_released_on_the_old_one(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    other = type(office.panel)()
    await office.profile(2, services=(product("101", server_id="pbx2"),))
    async with office.working({"pbx1": office.panel, "pbx2": other}):
        await office.until_done("pbx1", "pbx2")
    assert (office.panel.off, other.off) == (set(), {"101"})


# --- products that go, and come back (SW6, SW7) ---


async def test_a_product_that_is_removed_while_off_is_released_with_the_hold(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    await office.profile(2, services=())
    await office.work_done()
    assert office.panel.off == {"101"}
    await office.restored()
    await office.work_done()
    assert office.panel.off == set()
    assert isinstance((await office.events())[-1], ServiceRestored)
    assert not await office.sql("select from report.service_state")


async def test_a_product_that_returns_goes_on_with_its_sequence(office: SuspenderHarness) -> None:
    """Event ids never repeat: a consumer would drop the second suspension as known."""
    await held(office, product("101"))
    await office.profile(2, services=())
    await office.restored()
    await office.work_done()
    await office.profile(3, services=(product("101"),))
    assert office.panel.off == set()
    await office.zero()
    await office.work_done()
    assert office.panel.off == {"101"}
    rows = await office.sql("select event_id from suspender.outbox")
    assert len({row["event_id"] for row in rows}) == len(rows) == 3


async def test_a_product_that_returns_while_the_client_is_held_is_off(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    await office.profile(2, services=())
    await office.profile(3, services=(product("101", "102"),))
    await office.work_done()
    assert office.panel.off == {"101", "102"}


async def test_an_extension_that_moves_to_a_client_with_funds_is_on_at_once(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    await office.profile(1, "2002", services=(product("101", service_id="svc-b"),))
    await office.profile(2, services=())
    await office.work_done()
    assert office.panel.off == set()
    assert [type(event) for event in await office.events()] == [ServiceSuspended]
    await office.zero("2002")
    await office.work_done()
    assert office.panel.off == {"101"}


async def test_an_extension_that_moves_to_another_held_client_stays_off(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    await office.profile(2, services=())
    await office.profile(1, "2002", services=(product("101", service_id="svc-b"),))
    await office.zero("2002")
    await office.work_done()
    await office.restored()
    await office.work_done()
    assert office.panel.off == {"101"}
    (row,) = await office.sql("select account_id, was_on from report.switched_off")
    assert tuple(row) == ("2002", True)
    await office.restored("2002")
    await office.work_done()
    assert office.panel.off == set()


async def test_a_product_that_was_never_off_is_removed_without_an_event(
    office: SuspenderHarness,
) -> None:
    await office.profile(services=(product("101"),))
    await office.profile(2, services=())
    await office.zero()
    await office.work_done()
    assert await office.events() == []
    assert office.panel.calls == []


async def test_a_suspension_that_was_not_carried_out_is_given_up_with_its_product(
    office: SuspenderHarness,
) -> None:
    await office.profile(services=(product("101"),))
    await office.zero()
    await office.profile(2, services=())
    assert await office.settled()
    await office.work_done()
    assert office.panel.switched == []


# --- shared elements ---


async def test_a_gateway_of_two_products_is_off_only_while_both_are(
    office: SuspenderHarness,
) -> None:
    shared: dict[str, Any] = {"suspend_by": "gateway", "gateway_ids": (GATEWAY,)}
    both = (product(**shared), product(service_id="svc-b", **shared))
    await office.profile(services=both, orders=(order("manual", "svc-a"),))
    await office.work_done()
    assert office.panel.off == set()
    assert "stays on for another service" in (await office.row("svc-a"))["evidence"]
    await office.profile(2, services=both, orders=(order("manual"),))
    await office.work_done()
    assert office.panel.off == {GATEWAY}
    await office.profile(3, services=both, orders=(order("manual", "svc-b"),))
    await office.work_done()
    assert office.panel.off == set()
    await office.profile(4, services=both)
    await office.work_done()
    assert await office.on_record() == {}


# --- the rest of a tenant ---


async def test_the_rest_of_a_tenant_is_what_no_product_lists(office: SuspenderHarness) -> None:
    office.panel.extensions["north.example"] = {"101", "102", "103", "104"}
    await office.profile(1, "2002", services=(product("104", service_id="svc-b"),))
    await held(office, product("101", rest_of_tenant=True))
    assert office.panel.off == {"101", "102", "103"}
    office.panel.extensions["north.example"] |= {"105"}
    await office.restored()
    await office.work_done()
    assert office.panel.off == set()


async def test_an_extension_of_the_rest_that_another_client_enters_is_on_at_once(
    office: SuspenderHarness,
) -> None:
    office.panel.extensions["north.example"] = {"101", "102", "103"}
    await held(office, product("101", rest_of_tenant=True))
    assert office.panel.off == {"101", "102", "103"}
    trunk = product("103", service_id="svc-b", suspend_by="gateway", gateway_ids=(GATEWAY,))
    await office.profile(1, "2002", services=(trunk,))
    await office.work_done()
    assert office.panel.off == {"101", "102"}


async def test_a_tenant_that_cannot_be_listed_fails_its_own_service_alone(
    office: SuspenderHarness,
) -> None:
    rest = product(rest_of_tenant=True)
    await office.profile(services=(rest, product("201", service_id="svc-b")))
    await office.zero()
    async with office.working():
        await office.until_attempted("svc-a", 1)
        await office.until_confirmed("svc-b")
    assert "found no extensions to switch" in (await office.row("svc-a"))["last_error"]


# --- adoption ---


async def test_what_is_off_at_an_import_is_adopted_and_switched_on_with_the_hold(
    office: SuspenderHarness,
) -> None:
    office.panel.off_now = {extension("101")}
    await office.profile(profile=OFF, services=(product("101", "102"),))
    await office.zero(mail_owed=False)
    await office.work_done()
    assert office.panel.off == {"101", "102"}
    rows = await office.sql("select element, adopted from report.switched_off order by 1")
    assert [tuple(row) for row in rows] == [("101", True), ("102", False)]
    await office.restored()
    await office.work_done()
    assert office.panel.off == set()


async def test_adoption_does_not_depend_on_profile_fields_that_we_write_later(
    office: SuspenderHarness,
) -> None:
    """The first product's confirmation has accounts write the field: the second is adopted too."""
    office.panel.off_now = {extension("102")}
    await office.profile(profile=OFF, services=(product("102"),))
    ours = {"voip_suspended": "Yes", "voip_suspended_by": "us"}
    await office.profile(2, profile=ours, services=(product("102"),))
    await office.zero(mail_owed=False)
    await office.work_done()
    await office.restored()
    await office.work_done()
    assert office.panel.off == set()


async def test_what_is_found_off_after_the_first_turn_is_not_adopted(
    office: SuspenderHarness,
) -> None:
    await office.profile(profile=OFF, services=(product("101"),))
    await office.zero(mail_owed=False)
    await office.work_done()
    office.panel.off_now.add(extension("102"))
    await office.profile(2, profile=OFF, services=(product("101", "102"),))
    await office.work_done()
    await office.restored()
    await office.work_done()
    assert office.panel.off == {"102"}


# --- missing elements ---


async def test_a_missing_extension_is_a_remark_in_the_evidence(office: SuspenderHarness) -> None:
    office.panel.missing = {"102"}
    await held(office, product("101", "102"))
    assert "102 not on the server" in (await office.row("svc-a"))["evidence"]


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
    office: SuspenderHarness, fields: dict[str, object], words: str
) -> None:
    office.panel.missing = {"101", "north.example", GATEWAY}
    await office.profile(services=products("svc-a", **fields))
    await office.zero()
    async with office.working():
        await office.until_attempted("svc-a", 1)
    row = await office.row("svc-a")
    assert words in row["last_error"]
    assert "'north.example': correct the product" in row["last_error"]
    assert row["confirmed"] is None


async def test_records_survive_while_the_server_hides_all_extensions(
    office: SuspenderHarness,
) -> None:
    """Rights that were lost look like extensions that are gone: nothing may be forgotten."""
    await held(office, product("101"))
    office.panel.missing = {"101"}
    await office.restored()
    async with office.working():
        await office.until_attempted("svc-a", 2)
        assert await office.on_record() == {"101": True}
        office.panel.missing = set()
        await office.until_done()
    assert office.panel.off == set()


# --- what a person switched on (SW17) ---


async def test_what_a_person_switched_on_is_switched_off_again_without_an_event(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101", "102"))
    office.panel.off_now.discard(extension("101"))
    events = await office.events()
    assert await repair(office, "101", "999") == [extension("101")]
    await office.work_done()
    assert office.panel.off == {"101", "102"}
    assert await office.events() == events
    assert await office.on_record() == {"101": True, "102": True}


async def test_a_repair_that_fails_is_retried_with_back_off_and_raises_an_alarm(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    office.panel.stuck["101"] = Retry("toggle not done")
    await repair(office, "101")
    async with office.working():
        await office.until_alarm("element-not-released")
        (row,) = await office.sql("select attempts, last_error from report.switched_off")
        assert row["attempts"] >= 3
        assert row["last_error"] == "toggle not done"
        del office.panel.stuck["101"]
        await office.until_done()
    assert [state for key, _, state in await office.alarms()] == ["raised", "ended"]


async def test_a_loose_release_that_fails_raises_an_alarm_and_is_retried(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    office.panel.stuck["101"] = Retry("toggle not done")
    await office.profile(1, "2002", services=(product("101", service_id="svc-b"),))
    async with office.working():
        await office.until_alarm("element-not-released")
        (alarm,) = await office.sql("select message from report.alarm where ended_at is null")
        assert "cannot be switched on again: toggle not done" in alarm["message"]
        del office.panel.stuck["101"]
        await office.until_done()
    assert office.panel.off == set()


async def test_a_loose_release_that_is_no_longer_needed_ends_its_alarm(
    office: SuspenderHarness,
) -> None:
    await held(office, product("101"))
    office.panel.stuck["101"] = Retry("toggle not done")
    await office.profile(1, "2002", services=(product("101", service_id="svc-b"),))
    async with office.working():
        await office.until_alarm("element-not-released")
        await office.profile(2, "2002", services=())
        await office.until_done()
    assert [state for key, _, state in await office.alarms()] == ["raised", "ended"]
    assert office.panel.off == {"101"}


async def test_a_suspension_that_waits_for_the_brake_keeps_shared_elements_on(
    office: SuspenderHarness,
) -> None:
    """The trunk of a product that is off by hand, and of one that only the brake keeps on."""
    shared: dict[str, Any] = {"suspend_by": "gateway", "gateway_ids": (GATEWAY,)}
    both = (product(**shared), product(service_id="svc-b", **shared))
    await office.sql("update suspender.brake set on_since = now()")
    await office.profile(services=both)
    await office.zero()
    await office.profile(2, services=both, orders=(order("manual", "svc-a"),))
    await office.work_done()
    assert office.panel.off == set()
    await office.sql("update suspender.brake set on_since = null")
    await office.work_done()
    assert office.panel.off == {GATEWAY}


async def repair(office: SuspenderHarness, *names: str) -> list[Element]:
    """Have these extensions switched off again, as a loop that finds drift does."""
    async with office.store.pool.acquire() as connection:
        elements = [extension(name) for name in names]
        return await switch_off_again(connection, "pbx1", elements, NOON + timedelta(0))
