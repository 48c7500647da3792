"""What the suspender decides: in batches, by versions, by time, in shadow and live, and why."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.observe.health import Progress
from ringfence.postgres.pool import open_pool
from ringfence_contracts.events.account import AccountChanged, Order
from ringfence_contracts.events.balance import BalanceRestored, BalanceZero
from ringfence_contracts.events.service import ServiceRestored
from ringfence_contracts.topics import BALANCE_ZERO
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import NOON, from_bytes
from ringfence_testing.wait import until
from suspender.decider import DecideLoop
from suspender.rules.account import (
    AccountState,
    Cause,
    Decisions,
    Services,
    apply_event,
    decide_account,
)
from tests.support.narrow import expect
from tests.support.suspender import (
    UNIT,
    SuspenderHarness,
    extension,
    order,
    products,
    profile,
    profile_event,
    reasons,
    restored,
    zero,
)

OFF = {"voip_suspended": "Yes", "voip_suspended_by": "import"}


@pytest.fixture
async def office(database: str) -> AsyncIterator[SuspenderHarness]:
    async with await open_pool(database, service="suspender", size=8) as pool:
        yield SuspenderHarness(database, pool)


# --- batches and versions ---


async def test_two_thousand_clients_that_cross_at_once_are_decided_in_two_batches(
    office: SuspenderHarness,
) -> None:
    ids = [f"c-{number}" for number in range(2000)]
    await office.send(*(profile(1, account_id) for account_id in ids))
    records = [office.next_zero(account_id) for account_id in ids]
    for start in range(0, 2000, 1000):
        await office.send(*records[start : start + 1000])
    (row,) = await office.sql(
        "select count(*) as due from suspender.service where wanted = 'suspended'"
    )
    assert row["due"] == 2000


async def test_the_events_of_a_batch_are_applied_in_order(office: SuspenderHarness) -> None:
    off, on = office.next_zero(), office.next_restored()
    await office.send(profile(1), off, on, office.next_zero())
    row = await office.row()
    assert (row["wanted"], row["wanted_seq"]) == ("suspended", 3)


async def test_the_same_events_again_and_older_ones_change_nothing(
    office: SuspenderHarness,
) -> None:
    late = office.next_restored()
    records = [profile(2), office.next_zero()]
    await office.send(*records)
    before = await office.row()
    await office.send(*records, late, profile(1, services=()))
    assert await office.row() == before


async def test_a_record_that_cannot_be_read_is_rejected_and_the_rest_is_decided(
    office: SuspenderHarness,
) -> None:
    await office.profile()
    bad = from_bytes(BALANCE_ZERO, b"{}")
    no_id = office.next_restored()._replace(headers=())
    outcome = await office.suspender.handle([bad, no_id, office.next_zero()])
    assert [dead.received for dead in outcome.reject] == [bad, no_id]
    assert await office.wanted() == "suspended"


async def test_replicas_that_apply_events_of_the_same_accounts_never_deadlock(
    office: SuspenderHarness,
) -> None:
    """All accounts of a batch are locked in one order, whatever the order of its events."""
    ids = [f"c-{number}" for number in range(40)]
    batches = []
    for _ in range(8):
        records = [office.next_zero(account_id) for account_id in ids]
        random.Random(7).shuffle(records)
        batches.append(records)
    await office.send(*(profile(1, account_id) for account_id in ids))
    await asyncio.gather(*(office.send(*batch) for batch in batches))
    rows = await office.sql("select crossing, held, hold from suspender.account")
    assert {tuple(row) for row in rows} == {(8, True, 8)}


# --- holds ---


async def test_the_credit_of_a_crossing_does_not_decide(office: SuspenderHarness) -> None:
    """Money and debts are balance-watch's: only its holds count (SW1, SW2, SW3)."""
    await office.profile()
    await office.zero(balance_micro=50 * UNIT, outstanding_micro=60 * UNIT, reason="outstanding")
    await office.work_done()
    await office.profile(2, outstanding_micro=0)
    assert await office.wanted() == "suspended"


async def test_debts_above_the_last_crossings_credit_suspend_nobody(
    office: SuspenderHarness,
) -> None:
    """The credit of the last crossing is old: the ledger may hold more by now (SW4)."""
    await office.profile()
    await office.restored(balance_micro=50 * UNIT)
    await office.profile(2, outstanding_micro=60 * UNIT)
    assert await office.wanted() == "active"


async def test_a_rise_from_low_without_a_hold_changes_nothing(office: SuspenderHarness) -> None:
    await office.profile(orders=(order("manual"),))
    await office.restored(level_before="low")
    assert (await office.row())["holds"] == ["manual"]


async def test_a_metered_product_stays_on_beside_a_prepaid_one_that_is_held(
    office: SuspenderHarness,
) -> None:
    (metered,) = products("svc-metered", prepaid=False)
    await office.profile(services=(*products("svc-prepaid"), metered))
    await office.zero()
    assert await office.wanted("svc-prepaid") == "suspended"
    assert await office.wanted("svc-metered") == "active"


async def test_an_order_for_one_product_leaves_the_others_on(office: SuspenderHarness) -> None:
    await office.profile(services=products("svc-a", "svc-b"), orders=(order("whmcs", "svc-a"),))
    assert (await office.wanted("svc-a"), await office.wanted("svc-b")) == ("suspended", "active")
    await office.work_done()
    (suspended,) = await office.suspensions()
    assert (suspended.client_wide, suspended.holds, suspended.mode) == (False, ("whmcs",), "manual")


async def test_without_voip_service_the_desired_state_stays_until_it_returns(
    office: SuspenderHarness,
) -> None:
    await office.profile(profile={"has_voip_service": False})
    await office.zero()
    row = await office.row()
    assert (row["wanted"], row["would"], row["holds"]) == ("active", "leave", ["funds"])
    await office.profile(2)
    assert await office.wanted() == "suspended"


# --- products that are added while held (SW5) ---


async def test_a_product_that_is_added_while_held_is_switched_off(office: SuspenderHarness) -> None:
    await office.profile(services=products("svc-a"))
    await office.zero()
    await office.work_done()
    await office.profile(2, services=products("svc-a", "svc-b"))
    await office.work_done()
    assert office.panel.off == {"svc-a", "svc-b"}
    first, second = await office.suspensions()
    assert first.zero_mail
    assert second.zero_mail
    assert first.hold == second.hold == 1


async def test_a_product_that_is_added_to_a_client_with_funds_stays_on(
    office: SuspenderHarness,
) -> None:
    await office.profile(services=products("svc-a"))
    await office.zero()
    await office.restored()
    await office.work_done()
    await office.profile(2, services=products("svc-a", "svc-b"))
    assert await office.settled()
    assert office.panel.off == set()


async def test_a_client_imported_as_suspended_is_left_until_the_hold_is_known(
    office: SuspenderHarness,
) -> None:
    """balance-watch publishes it a moment later: meanwhile he must not be switched on."""
    await office.profile(profile=OFF)
    row = await office.row()
    assert (row["wanted"], row["would"]) == ("suspended", "leave")
    assert await office.settled()
    await office.zero(mail_owed=False)
    await office.work_done()
    assert office.panel.switched == ["svc-1001 off"]  # read back: it might be on
    assert reasons(await office.suspensions()) == [(("funds",), False)]
    await office.restored()
    await office.work_done()
    assert office.panel.off == set()


async def test_a_product_added_to_a_client_imported_as_suspended_is_switched_off(
    office: SuspenderHarness,
) -> None:
    await office.profile(profile=OFF, services=products("svc-a"))
    await office.zero(mail_owed=False)
    await office.profile(2, profile=OFF, services=products("svc-a", "svc-b"))
    await office.work_done()
    assert office.panel.off == {"svc-a", "svc-b"}


async def test_an_adopted_product_of_a_client_who_is_not_held_is_switched_on(
    office: SuspenderHarness,
) -> None:
    """Met as off, desired on: the other way round."""
    office.panel.off_now = {extension("svc-1001")}
    await office.restored()
    await office.profile(profile=OFF)
    await office.work_done()
    assert office.panel.switched == ["svc-1001 on"]


async def test_voip_suspended_written_by_a_person_or_by_us_is_not_an_import(
    office: SuspenderHarness,
) -> None:
    for number, writer in enumerate(("us", "person", "")):
        fields = {"voip_suspended": "Yes", "voip_suspended_by": writer}
        account_id = f"c-{number}"
        await office.profile(1, account_id, profile=fields)
        assert await office.wanted(f"svc-{account_id}") == "active"


# --- orders that end by time ---


async def test_an_order_with_an_end_ends_at_that_instant(office: SuspenderHarness) -> None:
    end = NOON + timedelta(hours=1)
    await office.profile(orders=(order("manual", until=end),))
    await office.work_done()
    assert office.panel.off == {"svc-1001"}
    expect(FixedClock, office.clock).set(end - timedelta(seconds=1))
    assert await office.decider.decide_due() == 0
    expect(FixedClock, office.clock).set(end)
    assert await office.decider.decide_due() == 1
    assert await office.decider.decide_due() == 0
    await office.work_done()
    assert office.panel.off == set()
    on_again = (await office.events())[-1]
    assert isinstance(on_again, ServiceRestored)
    assert on_again.mode == "auto"


async def test_an_exemption_that_ends_by_time_lets_the_funds_hold_apply(
    office: SuspenderHarness,
) -> None:
    end = NOON + timedelta(minutes=1)
    await office.profile(orders=(order("exemption", until=end),))
    await office.zero()
    assert await office.wanted() == "active"
    expect(FixedClock, office.clock).set(end)
    await office.decider.decide_due()
    assert await office.wanted() == "suspended"
    await office.work_done()
    assert reasons(await office.suspensions()) == [(("funds",), True)]


async def test_an_order_that_arrives_after_its_end_has_no_effect(office: SuspenderHarness) -> None:
    await office.profile(orders=(order("forced", until=NOON),))
    assert await office.wanted() == "active"
    assert (await office.sql("select decide_at from suspender.account"))[0]["decide_at"] is None


async def test_two_orders_with_an_end_are_each_decided_at_their_end(
    office: SuspenderHarness,
) -> None:
    ends = (NOON + timedelta(hours=1), NOON + timedelta(hours=2))
    await office.profile(orders=(order("manual", until=ends[0]), order("whmcs", until=ends[1])))
    await office.work_done()
    expect(FixedClock, office.clock).set(ends[0])
    await office.decider.decide_due()
    assert (await office.row())["holds"] == ["whmcs"]
    expect(FixedClock, office.clock).set(ends[1])
    await office.decider.decide_due()
    assert await office.wanted() == "active"
    assert [event.holds for event in await office.suspensions()] == [
        ("manual", "whmcs"),
        ("whmcs",),
    ]


async def test_the_loop_decides_by_itself_and_replicas_share_due_accounts(
    office: SuspenderHarness,
) -> None:
    end = NOON + timedelta(hours=1)
    ids = [f"c-{number}" for number in range(1200)]
    await office.send(*(profile(1, one, orders=(order("manual", until=end),)) for one in ids))
    expect(FixedClock, office.clock).set(end)
    stop = asyncio.Event()
    loops = [
        asyncio.create_task(DecideLoop(office.decider, Progress("by-time")).run(stop))
        for _ in range(2)
    ]

    async def all_on() -> bool:
        return not await office.sql("select from suspender.service where wanted = 'suspended'")

    await until(all_on, timeout_s=20)
    stop.set()
    await asyncio.gather(*loops)
    rows = await office.sql("select distinct wanted_seq from suspender.service")
    assert [row["wanted_seq"] for row in rows] == [2]


# --- shadow and live ---


async def test_in_shadow_everything_is_decided_and_nothing_is_switched(
    office: SuspenderHarness,
) -> None:
    await office.profile(mode="shadow")
    await office.zero()
    row = await office.row()
    assert (row["would"], row["wanted"], row["live"]) == ("suspended", "active", False)
    await office.profile(2, mode="shadow", orders=(order("whmcs"),))
    await office.restored()
    assert (await office.row())["would"] == "suspended"
    await office.profile(3, mode="shadow")
    assert (await office.row())["would"] == "active"
    assert await office.settled()
    assert await office.outbox() == []


async def test_going_live_switches_the_pbx_and_owes_the_mail(
    office: SuspenderHarness,
) -> None:
    await office.profile(mode="shadow")
    await office.zero()
    await office.profile(2, mode="live")
    await office.work_done()
    assert office.panel.off == {"svc-1001"}
    assert reasons(await office.suspensions()) == [(("funds",), True)]


async def test_going_back_to_shadow_switches_on_what_we_had_switched_off(
    office: SuspenderHarness,
) -> None:
    await office.profile()
    await office.zero()
    await office.work_done()
    await office.profile(2, mode="shadow")
    await office.work_done()
    row = await office.row()
    assert (row["would"], row["wanted"], row["confirmed"]) == ("suspended", "active", "active")
    assert isinstance((await office.events())[-1], ServiceRestored)
    await office.profile(3, mode="shadow", orders=(order("whmcs"),))
    assert await office.settled()


async def test_going_back_to_shadow_can_leave_services_off(office: SuspenderHarness) -> None:
    await office.profile()
    await office.zero()
    await office.work_done()
    await office.profile(2, mode="shadow", leave_off=True)
    assert await office.settled()
    assert await office.wanted() == "suspended"
    await office.restored()  # in shadow nothing is switched on either
    assert await office.wanted() == "suspended"
    await office.profile(3, mode="live")
    await office.work_done()
    assert office.panel.off == set()


async def test_an_unconfirmed_suspension_is_given_up_in_shadow_even_with_leave_off(
    office: SuspenderHarness,
) -> None:
    await office.profile()
    await office.zero()
    await office.profile(2, mode="shadow", leave_off=True)
    await office.work_done()
    row = await office.row()
    assert (row["wanted"], row["confirmed"]) == ("active", "active")
    assert office.panel.switched == []


async def test_a_hold_that_began_in_shadow_owes_its_mail_when_live_though_it_was_left_off(
    office: SuspenderHarness,
) -> None:
    await office.profile(orders=(order("manual"),))
    await office.work_done()
    await office.profile(2, mode="shadow", leave_off=True, orders=())
    await office.zero()
    assert len(await office.suspensions()) == 1
    await office.profile(3, mode="live")
    assert reasons(await office.suspensions()) == [(("manual",), False), (("funds",), True)]
    assert await office.settled()


async def test_services_imported_as_suspended_stay_off_in_shadow(office: SuspenderHarness) -> None:
    office.panel.off_now = {extension("svc-1001")}
    await office.profile(profile=OFF, mode="shadow")
    await office.zero(mail_owed=False)
    await office.restored()
    row = await office.row()
    assert (row["wanted"], row["would"]) == ("suspended", "active")
    assert await office.settled()
    await office.profile(2, profile=OFF, mode="live")
    await office.work_done()
    assert office.panel.switched == ["svc-1001 on"]


async def test_imported_services_that_we_never_switched_stay_off_in_shadow(
    office: SuspenderHarness,
) -> None:
    """The client leaves live mode before his hold is known."""
    await office.profile(profile=OFF)
    await office.profile(2, profile=OFF, mode="shadow")
    await office.zero(mail_owed=False)
    assert (await office.wanted(), await office.settled()) == ("suspended", True)


# --- why a service is off ---


async def test_a_funds_hold_under_a_manual_hold_owes_its_mail_when_it_is_alone(
    office: SuspenderHarness,
) -> None:
    """SW29: the zero mail is owed when funds become the only reason."""
    await office.profile(orders=(order("manual"),))
    await office.work_done()
    await office.zero()
    await office.profile(2)
    assert reasons(await office.suspensions()) == [
        (("manual",), False),
        (("funds", "manual"), False),
        (("funds",), True),
    ]
    assert [event.hold for event in await office.suspensions()] == [0, 1, 1]
    assert office.panel.switched == ["svc-1001 off"]
    assert (await office.row())["reason_seq"] == 2


async def test_a_change_of_reason_has_the_last_evidence_and_its_own_id(
    office: SuspenderHarness,
) -> None:
    await office.profile()
    await office.zero()
    await office.work_done()
    await office.profile(2, orders=(order("forced"),))
    first, second = await office.suspensions()
    assert second.evidence == first.evidence == "svc-1001 read back: off"
    assert second.confirmed_at == first.confirmed_at
    assert (second.mode, second.holds) == ("forced", ("funds", "forced"))
    rows = await office.sql("select event_id from suspender.outbox")
    assert len({row["event_id"] for row in rows}) == 2
    await office.profile(2, orders=(order("forced"),))
    await office.profile(3, orders=(order("forced", None), order("exemption", "svc-other")))
    assert len(await office.suspensions()) == 2


async def test_a_hold_without_a_mail_owes_none_when_it_becomes_the_only_reason(
    office: SuspenderHarness,
) -> None:
    await office.profile(orders=(order("manual"),))
    await office.work_done()
    await office.zero(mail_owed=False)
    await office.profile(2)
    assert [event.zero_mail for event in await office.suspensions()] == [False, False, False]


async def test_before_confirmation_a_new_reason_changes_only_the_row(
    office: SuspenderHarness,
) -> None:
    await office.profile(orders=(order("manual"),))
    await office.zero()
    await office.profile(2)
    assert await office.outbox() == []
    await office.work_done()
    assert reasons(await office.suspensions()) == [(("funds",), True)]


async def test_a_reason_that_is_obsolete_within_its_batch_is_not_published(
    office: SuspenderHarness,
) -> None:
    await office.profile(orders=(order("manual"),))
    await office.zero()
    await office.work_done()
    await office.send(profile(2), office.next_restored())
    assert len(await office.suspensions()) == 1


async def test_a_hold_that_becomes_client_wide_is_a_change_of_reason(
    office: SuspenderHarness,
) -> None:
    await office.profile(orders=(order("manual", "svc-1001"),))
    await office.work_done()
    await office.profile(2, orders=(order("manual"),))
    assert [event.client_wide for event in await office.suspensions()] == [False, True]


async def test_without_voip_service_a_change_of_reason_is_published_later(
    office: SuspenderHarness,
) -> None:
    await office.profile(orders=(order("manual"),))
    await office.work_done()
    await office.profile(2, profile={"has_voip_service": False})
    await office.zero()
    assert len(await office.suspensions()) == 1
    await office.profile(3)
    assert reasons(await office.suspensions())[1:] == [(("funds",), True)]


# --- random stories against ten lines ---

ACTS = st.lists(
    st.sampled_from(
        ["zero", "restored", "manual", "whmcs", "exemption", "none", "metered", "no-voip", "end"]
    ),
    max_size=14,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ACTS)
def test_after_any_sequence_of_events_the_desired_state_follows_the_holds(acts: list[str]) -> None:
    """The pure part, one event after another, by a reference that knows no row."""
    account, services, now = AccountState("1001"), Services(), NOON
    crossing = version = 0
    held, prepaid, has = False, True, True
    given_orders: tuple[Order, ...] = ()
    expected = "active"
    for number, act in enumerate(["none", *acts]):
        cause = Cause(UUID(int=number), "")
        if act in ("zero", "restored"):
            crossing, held = crossing + 1, act == "zero"
            event: BalanceZero | BalanceRestored | AccountChanged = (zero if held else restored)(
                crossing, hold=crossing
            )
        else:
            given_orders = () if act in ("none", "end") else given_orders
            if act in ("manual", "whmcs", "exemption"):
                given_orders = (*given_orders, order(act))
            prepaid, has = act != "metered", act != "no-voip"
            version += 1
            event = profile_event(
                version,
                orders=given_orders,
                profile={"has_voip_service": has},
                service={"prepaid": prepaid},
            )
        assert apply_event(account, event, now)
        decide_account(account, services, cause, now, Decisions())
        kinds = {one.kind for one in given_orders}
        if has:
            by_funds = held and prepaid and "exemption" not in kinds
            expected = "suspended" if by_funds or kinds - {"exemption"} else "active"
        assert services["svc-1001"].wanted == expected
        assert not apply_event(account, event, now)


# --- commands ---


async def test_a_command_is_answered_once_and_other_services_commands_are_ignored(
    office: SuspenderHarness,
) -> None:
    request_id = uuid4()
    for _ in range(2):
        await office.command("make-coffee", request_id)
        await office.command("brake.release", request_id)
    await office.command("brake.release", service="rating")
    ((state, words),) = await office.answers()
    assert state == "refused"
    assert "make-coffee" in words
