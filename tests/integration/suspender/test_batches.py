"""Batches on a server: many services at once, restores in parallel, fairness, and kills."""

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
    """The process is killed here."""


@pytest.fixture
async def harness(database: str) -> AsyncIterator[SuspenderHarness]:
    async with await open_pool(database, service="suspender", size=8) as pool:
        yield SuspenderHarness(database, pool)


async def clients(harness: SuspenderHarness, *ids: str, credit: int = -UNIT) -> None:
    """Clients, each with one product, whose funds holds begin."""
    await harness.send(*(profile(1, one) for one in ids))
    await harness.send(*(harness.next_zero(one, balance_micro=credit) for one in ids))


# --- many at once (SW31) ---


async def test_two_thousand_services_are_switched_with_few_calls(harness: SuspenderHarness) -> None:
    """In one tenant, 4,000 extensions, before the database knows how large its tables are."""
    ids = [f"c-{number:04}" for number in range(2000)]
    harness.fake_pbx = FakePbx(at_once=500)
    two = {one: {"extensions": (f"{one}-1", f"{one}-2")} for one in ids}
    await harness.send(*(profile(1, one, service=two[one]) for one in ids))
    await harness.send(*(harness.next_zero(one) for one in ids))
    async with harness.working():
        await until(harness.settled, timeout_s=60)
        assert len(harness.fake_pbx.off) == 4000
        assert harness.fake_pbx.calls == ["read", "bring"] * 8
        harness.fake_pbx.calls.clear()
        await harness.send(*(harness.next_restored(one) for one in ids))
        await until(harness.settled, timeout_s=60)
    assert harness.fake_pbx.off == set()
    assert len(harness.fake_pbx.calls) <= 24  # the first batch may run before all are decided
    assert await harness.on_record() == {}


async def test_a_product_with_more_elements_than_a_batch_is_switched_in_parts(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx = FakePbx(at_once=3)
    many = tuple(f"1{number:02}" for number in range(10))
    await harness.profile(services=products("svc-a", extensions=many))
    await harness.zero()
    await harness.work_done()
    assert harness.fake_pbx.off == set(many)
    assert harness.fake_pbx.calls == ["read", *["bring"] * 4]


# --- the order of what is due ---


async def test_suspensions_are_ordered_by_the_most_negative_credit_then_by_age(
    harness: SuspenderHarness,
) -> None:
    for name, credit in (("old", -2), ("new", -2), ("deep", -9), ("debts", 5)):
        await clients(harness, name, credit=credit)
    await harness.profile(1, "unknown", orders=(order("manual"),))
    due = await harness.work.due("pbx1", "suspended", 8)
    assert [item.account.account_id for item in due] == ["deep", "old", "new", "debts", "unknown"]


async def test_restores_are_ordered_by_age(harness: SuspenderHarness) -> None:
    await clients(harness, "b", "a")
    await harness.work_done()
    for name in ("b", "a"):
        await harness.restored(name)
    due = await harness.work.due("pbx1", "active", 8)
    assert [item.account.account_id for item in due] == ["b", "a"]


async def test_a_restore_does_not_wait_for_a_batch_of_suspensions(
    harness: SuspenderHarness,
) -> None:
    await clients(harness, "payer")
    await harness.work_done()
    harness.fake_pbx.gate.clear()
    await clients(harness, "broke")
    async with harness.working():
        await until(lambda: harness.fake_pbx.calls.count("bring") == 2)
        await harness.restored("payer")
        await harness.until_confirmed("svc-payer")
        assert harness.fake_pbx.off == set()
        harness.fake_pbx.gate.set()
        await harness.until_done()
    assert harness.fake_pbx.off == {"svc-broke"}


async def test_an_element_is_never_in_batches_of_both_queues(harness: SuspenderHarness) -> None:
    """The trunk's restore waits for the batch that switches it off; another's does not."""
    trunk = products("svc-a", suspend_by="gateway", gateway_ids=(GATEWAY,))
    await clients(harness, "payer")
    await harness.work_done()
    harness.fake_pbx.gate.clear()
    await harness.profile(services=trunk, orders=(order("manual"),))
    async with harness.working():
        await until(lambda: harness.fake_pbx.calls.count("bring") == 2)
        await harness.profile(2, services=trunk)
        await harness.restored("payer")
        await harness.until_confirmed("svc-payer")
        assert harness.fake_pbx.switched[-1] == "svc-payer on"
        harness.fake_pbx.gate.set()
        await harness.until_done()
    assert harness.fake_pbx.switched[-2:] == [f"{GATEWAY} off", f"{GATEWAY} on"]
    assert await harness.on_record() == {}


# --- fairness (SW19) ---


@pytest.mark.parametrize("failure", [Retry("not done"), OperatorMustAct("no right")])
async def test_services_that_cannot_be_switched_delay_no_other(
    harness: SuspenderHarness, failure: Retry | OperatorMustAct
) -> None:
    stuck = [f"stuck-{number}" for number in range(6)]
    harness.fake_pbx.stuck = {f"svc-{name}": failure for name in stuck}
    await clients(harness, *stuck, credit=-50)
    async with harness.working():
        for name in stuck:
            await harness.until_attempted(f"svc-{name}", 2)
        await clients(harness, "fine")
        await harness.until_confirmed("svc-fine")
    assert harness.fake_pbx.off == {"svc-fine"}


async def test_one_extension_that_cannot_be_switched_fails_its_service_and_no_other_element(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.stuck = {"102": Retry("not done")}
    await harness.profile(services=products("svc-a", extensions=("101", "102")))
    await harness.zero()
    async with harness.working():
        await harness.until_attempted("svc-a", 1)
        assert harness.fake_pbx.off == {"101"}
        assert (await harness.row("svc-a"))["last_error"] == "not done"
        await harness.restored()
        del harness.fake_pbx.stuck["102"]
        await harness.until_done()
    assert harness.fake_pbx.off == set()
    assert await harness.on_record() == {}


async def test_a_server_that_does_not_answer_is_probed_with_one_service(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.fails = True
    names = [f"c-{number}" for number in range(4)]
    await clients(harness, *names)
    async with harness.working():
        for name in names:
            await harness.until_attempted(f"svc-{name}", 3)
        harness.fake_pbx.fails = False
        await harness.until_done()
    assert harness.fake_pbx.off == {f"svc-{name}" for name in names}
    assert {state for key, _, state in await harness.alarms()} == {"raised", "ended"}


async def test_without_voip_service_due_work_is_not_carried_out(
    harness: SuspenderHarness,
) -> None:
    await harness.profile()
    await harness.zero()
    await harness.profile(2, profile={"has_voip_service": False})
    assert await harness.settled()
    await harness.profile(3)
    await harness.work_done()
    assert harness.fake_pbx.off == {"svc-1001"}


async def test_server_texts_that_postgresql_cannot_store_do_not_stop_the_worker(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.stuck = {"svc-1001": Retry("bad\x00byte \udcff")}
    await harness.profile()
    await harness.zero()
    async with harness.working():
        await harness.until_attempted("svc-1001", 1)
    assert (await harness.row())["last_error"] == "badbyte ?"


# --- a kill at each step ---


async def work_until_killed(harness: SuspenderHarness, moment: str, name: str) -> None:
    """A worker that dies before or after the toggle of an element; the next one does not."""
    died: list[Element] = []

    def dies(when: str, element: Element) -> None:
        if (when, element.name) == (moment, name):
            died.append(element)
            raise Killed

    harness.fake_pbx.at_switch = dies
    with pytest.raises(Killed):
        async with harness.working():
            await until(lambda: died)
    harness.fake_pbx.at_switch = lambda when, element: None


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_kill_during_a_suspension_does_not_lose_the_former_states(
    harness: SuspenderHarness, moment: str
) -> None:
    """101 was off before; the process dies at the toggle of 103, with 102 off already."""
    harness.fake_pbx.off_now = {extension("101")}
    await harness.profile(services=products("svc-a", extensions=("101", "102", "103")))
    await harness.zero()
    await work_until_killed(harness, moment, "103")
    assert await harness.on_record() == {"102": False, "103": False}
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102", "103"}
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == {"101"}
    assert [type(event).__name__ for event in await harness.events()] == [
        "ServiceSuspended",
        "ServiceRestored",
    ]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_top_up_after_a_kill_restores_what_the_killed_worker_switched_off(
    harness: SuspenderHarness, moment: str
) -> None:
    harness.fake_pbx.off_now = {extension("101")}
    await harness.profile(services=products("svc-a", extensions=("101", "102", "103")))
    await harness.zero()
    await work_until_killed(harness, moment, "103")
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == {"101"}
    assert await harness.on_record() == {}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_restore_that_was_killed_is_completed(
    harness: SuspenderHarness, moment: str
) -> None:
    await harness.profile(services=products("svc-a", extensions=("102", "103")))
    await harness.zero()
    await harness.work_done()
    await harness.restored()
    await work_until_killed(harness, moment, "103")
    assert await harness.on_record() == {"102": True, "103": True}
    await harness.work_done()
    assert harness.fake_pbx.off == set()
    assert await harness.on_record() == {}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_stored_value_survives_a_kill_during_its_change(
    harness: SuspenderHarness, moment: str
) -> None:
    right = extension("101", "outbound")
    harness.fake_pbx.values[right] = "domestic"
    await harness.profile(services=products("svc-a", extensions=("101",), outbound_only=True))
    await harness.zero()
    await work_until_killed(harness, moment, "101")
    await harness.work_done()
    assert harness.fake_pbx.values[right] == ""
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.values[right] == "domestic"
