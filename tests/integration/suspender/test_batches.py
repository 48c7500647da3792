"""How a server is worked on: many at once, restores beside, fairly, and safe against a kill."""

from collections.abc import AsyncIterator

import pytest

from ringfence.postgres.pool import open_pool
from ringfence_contracts.errors import Retry
from ringfence_testing.wait import until
from suspender.drivers.driver import OperatorMustAct
from suspender.rules.elements import Element
from tests.support.suspender import (
    UNIT,
    FakePbx,
    SuspenderHarness,
    extension,
    order,
    products,
    profile,
)

GATEWAY = "11111111-2222-4333-8444-555555555555"


class Killed(BaseException):
    """The process ends here, whatever it was doing."""


@pytest.fixture
async def office(database: str) -> AsyncIterator[SuspenderHarness]:
    async with await open_pool(database, service="suspender", size=8) as pool:
        yield SuspenderHarness(database, pool)


async def clients(office: SuspenderHarness, *ids: str, credit: int = -UNIT) -> None:
    """Clients, each with one product, whose funds holds begin."""
    await office.send(*(profile(1, one) for one in ids))
    await office.send(*(office.next_zero(one, balance_micro=credit) for one in ids))


# --- many at once (SW31) ---


async def test_two_thousand_services_are_switched_with_few_calls(office: SuspenderHarness) -> None:
    """In one tenant, 4,000 extensions, before the database knows how large its tables are."""
    ids = [f"c-{number:04}" for number in range(2000)]
    office.panel = FakePbx(at_once=500)
    two = {one: {"extensions": (f"{one}-1", f"{one}-2")} for one in ids}
    await office.send(*(profile(1, one, service=two[one]) for one in ids))
    await office.send(*(office.next_zero(one) for one in ids))
    async with office.working():
        await until(office.settled, timeout_s=60)
        assert len(office.panel.off) == 4000
        assert office.panel.calls == ["read", "bring"] * 8
        office.panel.calls.clear()
        await office.send(*(office.next_restored(one) for one in ids))
        await until(office.settled, timeout_s=60)
    assert office.panel.off == set()
    assert len(office.panel.calls) <= 24  # the first may come before all are decided
    assert await office.on_record() == {}


async def test_a_product_with_more_elements_than_a_batch_is_switched_in_parts(
    office: SuspenderHarness,
) -> None:
    office.panel = FakePbx(at_once=3)
    many = tuple(f"1{number:02}" for number in range(10))
    await office.profile(services=products("svc-a", extensions=many))
    await office.zero()
    await office.work_done()
    assert office.panel.off == set(many)
    assert office.panel.calls == ["read", *["bring"] * 4]


# --- the order of what is due ---


async def test_suspensions_are_ordered_by_the_most_negative_credit_then_by_age(
    office: SuspenderHarness,
) -> None:
    for name, credit in (("old", -2), ("new", -2), ("deep", -9), ("debts", 5)):
        await clients(office, name, credit=credit)
    await office.profile(1, "unknown", orders=(order("manual"),))
    due = await office.work.due("pbx1", "suspended", 8)
    assert [item.account.account_id for item in due] == ["deep", "old", "new", "debts", "unknown"]


async def test_restores_are_ordered_by_age(office: SuspenderHarness) -> None:
    await clients(office, "b", "a")
    await office.work_done()
    for name in ("b", "a"):
        await office.restored(name)
    due = await office.work.due("pbx1", "active", 8)
    assert [item.account.account_id for item in due] == ["b", "a"]


async def test_a_restore_does_not_wait_for_a_batch_of_suspensions(office: SuspenderHarness) -> None:
    await clients(office, "payer")
    await office.work_done()
    office.panel.gate.clear()
    await clients(office, "broke")
    async with office.working():
        await until(lambda: office.panel.calls.count("bring") == 2)
        await office.restored("payer")
        await office.until_confirmed("svc-payer")
        assert office.panel.off == set()
        office.panel.gate.set()
        await office.until_done()
    assert office.panel.off == {"svc-broke"}


async def test_an_element_is_never_in_batches_of_both_queues(office: SuspenderHarness) -> None:
    """The trunk's restore waits for the batch that switches it off; another's does not."""
    trunk = products("svc-a", suspend_by="gateway", gateway_ids=(GATEWAY,))
    await clients(office, "payer")
    await office.work_done()
    office.panel.gate.clear()
    await office.profile(services=trunk, orders=(order("manual"),))
    async with office.working():
        await until(lambda: office.panel.calls.count("bring") == 2)
        await office.profile(2, services=trunk)
        await office.restored("payer")
        await office.until_confirmed("svc-payer")
        assert office.panel.switched[-1] == "svc-payer on"
        office.panel.gate.set()
        await office.until_done()
    assert office.panel.switched[-2:] == [f"{GATEWAY} off", f"{GATEWAY} on"]
    assert await office.on_record() == {}


# --- fairness (SW19) ---


@pytest.mark.parametrize("failure", [Retry("not done"), OperatorMustAct("no right")])
async def test_services_that_cannot_be_switched_delay_no_other(
    office: SuspenderHarness, failure: Retry | OperatorMustAct
) -> None:
    stuck = [f"stuck-{number}" for number in range(6)]
    office.panel.stuck = {f"svc-{name}": failure for name in stuck}
    await clients(office, *stuck, credit=-50)
    async with office.working():
        for name in stuck:
            await office.until_attempted(f"svc-{name}", 2)
        await clients(office, "fine")
        await office.until_confirmed("svc-fine")
    assert office.panel.off == {"svc-fine"}


async def test_one_extension_that_cannot_be_switched_fails_its_service_and_no_other_element(
    office: SuspenderHarness,
) -> None:
    office.panel.stuck = {"102": Retry("not done")}
    await office.profile(services=products("svc-a", extensions=("101", "102")))
    await office.zero()
    async with office.working():
        await office.until_attempted("svc-a", 1)
        assert office.panel.off == {"101"}
        assert (await office.row("svc-a"))["last_error"] == "not done"
        await office.restored()
        del office.panel.stuck["102"]
        await office.until_done()
    assert office.panel.off == set()
    assert await office.on_record() == {}


async def test_a_server_that_does_not_answer_is_probed_with_one_service(
    office: SuspenderHarness,
) -> None:
    office.panel.fails = True
    names = [f"c-{number}" for number in range(4)]
    await clients(office, *names)
    async with office.working():
        for name in names:
            await office.until_attempted(f"svc-{name}", 3)
        office.panel.fails = False
        await office.until_done()
    assert office.panel.off == {f"svc-{name}" for name in names}
    assert {state for key, _, state in await office.alarms()} == {"raised", "ended"}


async def test_without_voip_service_due_work_is_not_carried_out(
    office: SuspenderHarness,
) -> None:
    await office.profile()
    await office.zero()
    await office.profile(2, profile={"has_voip_service": False})
    assert await office.settled()
    await office.profile(3)
    await office.work_done()
    assert office.panel.off == {"svc-1001"}


async def test_server_texts_that_postgresql_cannot_store_do_not_stop_the_worker(
    office: SuspenderHarness,
) -> None:
    office.panel.stuck = {"svc-1001": Retry("bad\x00byte \udcff")}
    await office.profile()
    await office.zero()
    async with office.working():
        await office.until_attempted("svc-1001", 1)
    assert (await office.row())["last_error"] == "badbyte ?"


# --- a kill at each step ---


async def work_until_killed(office: SuspenderHarness, moment: str, name: str) -> None:
    """A worker that dies before or after the toggle of an element; the next one does not."""
    died: list[Element] = []

    def dies(when: str, element: Element) -> None:
        if (when, element.name) == (moment, name):
            died.append(element)
            raise Killed

    office.panel.at_switch = dies
    with pytest.raises(Killed):
        async with office.working():
            await until(lambda: died)
    office.panel.at_switch = lambda when, element: None


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_kill_during_a_suspension_does_not_lose_the_former_states(
    office: SuspenderHarness, moment: str
) -> None:
    """101 was off before; the process dies at the toggle of 103, with 102 off already."""
    office.panel.off_now = {extension("101")}
    await office.profile(services=products("svc-a", extensions=("101", "102", "103")))
    await office.zero()
    await work_until_killed(office, moment, "103")
    assert await office.on_record() == {"102": False, "103": False}
    await office.work_done()
    assert office.panel.off == {"101", "102", "103"}
    await office.restored()
    await office.work_done()
    assert office.panel.off == {"101"}
    assert [type(event).__name__ for event in await office.events()] == [
        "ServiceSuspended",
        "ServiceRestored",
    ]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_top_up_after_a_kill_restores_what_the_killed_worker_switched_off(
    office: SuspenderHarness, moment: str
) -> None:
    office.panel.off_now = {extension("101")}
    await office.profile(services=products("svc-a", extensions=("101", "102", "103")))
    await office.zero()
    await work_until_killed(office, moment, "103")
    await office.restored()
    await office.work_done()
    assert office.panel.off == {"101"}
    assert await office.on_record() == {}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_restore_that_was_killed_is_completed(
    office: SuspenderHarness, moment: str
) -> None:
    await office.profile(services=products("svc-a", extensions=("102", "103")))
    await office.zero()
    await office.work_done()
    await office.restored()
    await work_until_killed(office, moment, "103")
    assert await office.on_record() == {"102": True, "103": True}
    await office.work_done()
    assert office.panel.off == set()
    assert await office.on_record() == {}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_stored_value_survives_a_kill_during_its_change(
    office: SuspenderHarness, moment: str
) -> None:
    right = extension("101", "outbound")
    office.panel.values[right] = "domestic"
    await office.profile(services=products("svc-a", extensions=("101",), outbound_only=True))
    await office.zero()
    await work_until_killed(office, moment, "101")
    await office.work_done()
    assert office.panel.values[right] == ""
    await office.restored()
    await office.work_done()
    assert office.panel.values[right] == "domestic"
