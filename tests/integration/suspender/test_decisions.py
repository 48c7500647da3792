"""The suspender's decisions: batches, versions, ends of orders, shadow and live mode, reasons."""

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
async def harness(database: str) -> AsyncIterator[SuspenderHarness]:
    async with await open_pool(database, service="suspender", size=8) as pool:
        yield SuspenderHarness(database, pool)


# --- batches and versions ---


async def test_two_thousand_clients_that_cross_at_once_are_decided_in_two_batches(
    harness: SuspenderHarness,
) -> None:
    ids = [f"c-{number}" for number in range(2000)]
    await harness.send(*(profile(1, account_id) for account_id in ids))
    records = [harness.next_zero(account_id) for account_id in ids]
    for start in range(0, 2000, 1000):
        await harness.send(*records[start : start + 1000])
    (row,) = await harness.sql(
        "select count(*) as due from suspender.service where wanted = 'suspended'"
    )
    assert row["due"] == 2000


async def test_the_events_of_a_batch_are_applied_in_order(harness: SuspenderHarness) -> None:
    off, on = harness.next_zero(), harness.next_restored()
    await harness.send(profile(1), off, on, harness.next_zero())
    row = await harness.row()
    assert (row["wanted"], row["wanted_seq"]) == ("suspended", 3)


async def test_the_same_events_again_and_older_ones_change_nothing(
    harness: SuspenderHarness,
) -> None:
    late = harness.next_restored()
    records = [profile(2), harness.next_zero()]
    await harness.send(*records)
    before = await harness.row()
    await harness.send(*records, late, profile(1, services=()))
    assert await harness.row() == before


async def test_a_record_that_cannot_be_read_is_rejected_and_the_rest_is_decided(
    harness: SuspenderHarness,
) -> None:
    await harness.profile()
    bad = from_bytes(BALANCE_ZERO, b"{}")
    no_id = harness.next_restored()._replace(headers=())
    outcome = await harness.suspender.handle([bad, no_id, harness.next_zero()])
    assert [dead.received for dead in outcome.reject] == [bad, no_id]
    assert await harness.wanted() == "suspended"


async def test_replicas_that_apply_events_of_the_same_accounts_never_deadlock(
    harness: SuspenderHarness,
) -> None:
    """All accounts of a batch are locked in one order, whatever the order of its events."""
    ids = [f"c-{number}" for number in range(40)]
    batches = []
    for _ in range(8):
        records = [harness.next_zero(account_id) for account_id in ids]
        random.Random(7).shuffle(records)
        batches.append(records)
    await harness.send(*(profile(1, account_id) for account_id in ids))
    await asyncio.gather(*(harness.send(*batch) for batch in batches))
    rows = await harness.sql("select crossing, held, hold from suspender.account")
    assert {tuple(row) for row in rows} == {(8, True, 8)}


# --- holds ---


async def test_the_credit_of_a_crossing_does_not_decide(harness: SuspenderHarness) -> None:
    """balance-watch decides about credit and debts: only its holds count (SW1, SW2, SW3)."""
    await harness.profile()
    await harness.zero(balance_micro=50 * UNIT, outstanding_micro=60 * UNIT, reason="outstanding")
    await harness.work_done()
    await harness.profile(2, outstanding_micro=0)
    assert await harness.wanted() == "suspended"


async def test_debts_above_the_last_crossings_credit_suspend_nobody(
    harness: SuspenderHarness,
) -> None:
    """The credit of the last crossing is old: the ledger may contain more by now (SW4)."""
    await harness.profile()
    await harness.restored(balance_micro=50 * UNIT)
    await harness.profile(2, outstanding_micro=60 * UNIT)
    assert await harness.wanted() == "active"


async def test_a_rise_from_low_without_a_hold_changes_nothing(harness: SuspenderHarness) -> None:
    await harness.profile(orders=(order("manual"),))
    await harness.restored(level_before="low")
    assert (await harness.row())["holds"] == ["manual"]


async def test_a_metered_product_stays_on_beside_a_prepaid_one_that_is_held(
    harness: SuspenderHarness,
) -> None:
    (metered,) = products("svc-metered", prepaid=False)
    await harness.profile(services=(*products("svc-prepaid"), metered))
    await harness.zero()
    assert await harness.wanted("svc-prepaid") == "suspended"
    assert await harness.wanted("svc-metered") == "active"


async def test_an_order_for_one_product_leaves_the_others_on(harness: SuspenderHarness) -> None:
    await harness.profile(services=products("svc-a", "svc-b"), orders=(order("whmcs", "svc-a"),))
    assert (await harness.wanted("svc-a"), await harness.wanted("svc-b")) == ("suspended", "active")
    await harness.work_done()
    (suspended,) = await harness.suspensions()
    assert (suspended.client_wide, suspended.holds, suspended.mode) == (False, ("whmcs",), "manual")


async def test_without_voip_service_the_desired_state_stays_until_it_returns(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(profile={"has_voip_service": False})
    await harness.zero()
    row = await harness.row()
    assert (row["wanted"], row["would"], row["holds"]) == ("active", "leave", ["funds"])
    await harness.profile(2)
    assert await harness.wanted() == "suspended"


# --- products that are added while held (SW5) ---


async def test_a_product_that_is_added_while_held_is_switched_off(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(services=products("svc-a"))
    await harness.zero()
    await harness.work_done()
    await harness.profile(2, services=products("svc-a", "svc-b"))
    await harness.work_done()
    assert harness.fake_pbx.off == {"svc-a", "svc-b"}
    first, second = await harness.suspensions()
    assert first.zero_mail
    assert second.zero_mail
    assert first.hold == second.hold == 1


async def test_a_product_that_is_added_to_a_client_with_funds_stays_on(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(services=products("svc-a"))
    await harness.zero()
    await harness.restored()
    await harness.work_done()
    await harness.profile(2, services=products("svc-a", "svc-b"))
    assert await harness.settled()
    assert harness.fake_pbx.off == set()


async def test_a_client_imported_as_suspended_is_left_until_the_hold_is_known(
    harness: SuspenderHarness,
) -> None:
    """balance-watch publishes the hold later: until then the client must not be switched on."""
    await harness.profile(profile=OFF)
    row = await harness.row()
    assert (row["wanted"], row["would"]) == ("suspended", "leave")
    assert await harness.settled()
    await harness.zero(mail_owed=False)
    await harness.work_done()
    assert harness.fake_pbx.switched == ["svc-1001 off"]  # read back: it might be on
    assert reasons(await harness.suspensions()) == [(("funds",), False)]
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.off == set()


async def test_a_product_added_to_a_client_imported_as_suspended_is_switched_off(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(profile=OFF, services=products("svc-a"))
    await harness.zero(mail_owed=False)
    await harness.profile(2, profile=OFF, services=products("svc-a", "svc-b"))
    await harness.work_done()
    assert harness.fake_pbx.off == {"svc-a", "svc-b"}


async def test_an_adopted_product_of_a_client_who_is_not_held_is_switched_on(
    harness: SuspenderHarness,
) -> None:
    """Imported as suspended, but to be on."""
    harness.fake_pbx.off_now = {extension("svc-1001")}
    await harness.restored()
    await harness.profile(profile=OFF)
    await harness.work_done()
    assert harness.fake_pbx.switched == ["svc-1001 on"]


async def test_voip_suspended_written_by_a_person_or_by_us_is_not_an_import(
    harness: SuspenderHarness,
) -> None:
    for number, writer in enumerate(("us", "person", "")):
        fields = {"voip_suspended": "Yes", "voip_suspended_by": writer}
        account_id = f"c-{number}"
        await harness.profile(1, account_id, profile=fields)
        assert await harness.wanted(f"svc-{account_id}") == "active"


# --- orders that end by time ---


async def test_an_order_with_an_end_ends_at_that_instant(harness: SuspenderHarness) -> None:
    end = NOON + timedelta(hours=1)
    await harness.profile(orders=(order("manual", until=end),))
    await harness.work_done()
    assert harness.fake_pbx.off == {"svc-1001"}
    expect(FixedClock, harness.clock).set(end - timedelta(seconds=1))
    assert await harness.decider.decide_due() == 0
    expect(FixedClock, harness.clock).set(end)
    assert await harness.decider.decide_due() == 1
    assert await harness.decider.decide_due() == 0
    await harness.work_done()
    assert harness.fake_pbx.off == set()
    on_again = (await harness.events())[-1]
    assert isinstance(on_again, ServiceRestored)
    assert on_again.mode == "auto"


async def test_an_exemption_that_ends_by_time_lets_the_funds_hold_apply(
    harness: SuspenderHarness,
) -> None:
    end = NOON + timedelta(minutes=1)
    await harness.profile(orders=(order("exemption", until=end),))
    await harness.zero()
    assert await harness.wanted() == "active"
    expect(FixedClock, harness.clock).set(end)
    await harness.decider.decide_due()
    assert await harness.wanted() == "suspended"
    await harness.work_done()
    assert reasons(await harness.suspensions()) == [(("funds",), True)]


async def test_an_order_that_arrives_after_its_end_has_no_effect(harness: SuspenderHarness) -> None:
    await harness.profile(orders=(order("forced", until=NOON),))
    assert await harness.wanted() == "active"
    assert (await harness.sql("select decide_at from suspender.account"))[0]["decide_at"] is None


async def test_two_orders_with_an_end_are_each_decided_at_their_end(
    harness: SuspenderHarness,
) -> None:
    ends = (NOON + timedelta(hours=1), NOON + timedelta(hours=2))
    await harness.profile(orders=(order("manual", until=ends[0]), order("whmcs", until=ends[1])))
    await harness.work_done()
    expect(FixedClock, harness.clock).set(ends[0])
    await harness.decider.decide_due()
    assert (await harness.row())["holds"] == ["whmcs"]
    expect(FixedClock, harness.clock).set(ends[1])
    await harness.decider.decide_due()
    assert await harness.wanted() == "active"
    assert [event.holds for event in await harness.suspensions()] == [
        ("manual", "whmcs"),
        ("whmcs",),
    ]


async def test_the_loop_decides_by_itself_and_replicas_share_due_accounts(
    harness: SuspenderHarness,
) -> None:
    end = NOON + timedelta(hours=1)
    ids = [f"c-{number}" for number in range(1200)]
    await harness.send(*(profile(1, one, orders=(order("manual", until=end),)) for one in ids))
    expect(FixedClock, harness.clock).set(end)
    stop = asyncio.Event()
    loops = [
        asyncio.create_task(DecideLoop(harness.decider, Progress("by-time")).run(stop))
        for _ in range(2)
    ]

    async def all_on() -> bool:
        return not await harness.sql("select from suspender.service where wanted = 'suspended'")

    await until(all_on, timeout_s=20)
    stop.set()
    await asyncio.gather(*loops)
    rows = await harness.sql("select distinct wanted_seq from suspender.service")
    assert [row["wanted_seq"] for row in rows] == [2]


# --- shadow and live ---


async def test_in_shadow_everything_is_decided_and_nothing_is_switched(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(mode="shadow")
    await harness.zero()
    row = await harness.row()
    assert (row["would"], row["wanted"], row["live"]) == ("suspended", "active", False)
    await harness.profile(2, mode="shadow", orders=(order("whmcs"),))
    await harness.restored()
    assert (await harness.row())["would"] == "suspended"
    await harness.profile(3, mode="shadow")
    assert (await harness.row())["would"] == "active"
    assert await harness.settled()
    assert await harness.outbox() == []


async def test_going_live_switches_the_pbx_and_owes_the_mail(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(mode="shadow")
    await harness.zero()
    await harness.profile(2, mode="live")
    await harness.work_done()
    assert harness.fake_pbx.off == {"svc-1001"}
    assert reasons(await harness.suspensions()) == [(("funds",), True)]


async def test_going_back_to_shadow_switches_on_what_we_had_switched_off(
    harness: SuspenderHarness,
) -> None:
    await harness.profile()
    await harness.zero()
    await harness.work_done()
    await harness.profile(2, mode="shadow")
    await harness.work_done()
    row = await harness.row()
    assert (row["would"], row["wanted"], row["confirmed"]) == ("suspended", "active", "active")
    assert isinstance((await harness.events())[-1], ServiceRestored)
    await harness.profile(3, mode="shadow", orders=(order("whmcs"),))
    assert await harness.settled()


async def test_going_back_to_shadow_can_leave_services_off(harness: SuspenderHarness) -> None:
    await harness.profile()
    await harness.zero()
    await harness.work_done()
    await harness.profile(2, mode="shadow", leave_off=True)
    assert await harness.settled()
    assert await harness.wanted() == "suspended"
    await harness.restored()  # in shadow nothing is switched on either
    assert await harness.wanted() == "suspended"
    await harness.profile(3, mode="live")
    await harness.work_done()
    assert harness.fake_pbx.off == set()


async def test_an_unconfirmed_suspension_is_given_up_in_shadow_even_with_leave_off(
    harness: SuspenderHarness,
) -> None:
    await harness.profile()
    await harness.zero()
    await harness.profile(2, mode="shadow", leave_off=True)
    await harness.work_done()
    row = await harness.row()
    assert (row["wanted"], row["confirmed"]) == ("active", "active")
    assert harness.fake_pbx.switched == []


async def test_a_hold_that_began_in_shadow_owes_its_mail_when_live_though_it_was_left_off(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(orders=(order("manual"),))
    await harness.work_done()
    await harness.profile(2, mode="shadow", leave_off=True, orders=())
    await harness.zero()
    assert len(await harness.suspensions()) == 1
    await harness.profile(3, mode="live")
    assert reasons(await harness.suspensions()) == [(("manual",), False), (("funds",), True)]
    assert await harness.settled()


async def test_services_imported_as_suspended_stay_off_in_shadow(harness: SuspenderHarness) -> None:
    harness.fake_pbx.off_now = {extension("svc-1001")}
    await harness.profile(profile=OFF, mode="shadow")
    await harness.zero(mail_owed=False)
    await harness.restored()
    row = await harness.row()
    assert (row["wanted"], row["would"]) == ("suspended", "active")
    assert await harness.settled()
    await harness.profile(2, profile=OFF, mode="live")
    await harness.work_done()
    assert harness.fake_pbx.switched == ["svc-1001 on"]


async def test_imported_services_that_we_never_switched_stay_off_in_shadow(
    harness: SuspenderHarness,
) -> None:
    """The client leaves live mode before his hold is known."""
    await harness.profile(profile=OFF)
    await harness.profile(2, profile=OFF, mode="shadow")
    await harness.zero(mail_owed=False)
    assert (await harness.wanted(), await harness.settled()) == ("suspended", True)


# --- why a service is off ---


async def test_a_funds_hold_under_a_manual_hold_owes_its_mail_when_it_is_alone(
    harness: SuspenderHarness,
) -> None:
    """SW29: the zero mail is owed when funds become the only reason."""
    await harness.profile(orders=(order("manual"),))
    await harness.work_done()
    await harness.zero()
    await harness.profile(2)
    assert reasons(await harness.suspensions()) == [
        (("manual",), False),
        (("funds", "manual"), False),
        (("funds",), True),
    ]
    assert [event.hold for event in await harness.suspensions()] == [0, 1, 1]
    assert harness.fake_pbx.switched == ["svc-1001 off"]
    assert (await harness.row())["reason_seq"] == 2


async def test_a_change_of_reason_has_the_last_evidence_and_its_own_id(
    harness: SuspenderHarness,
) -> None:
    await harness.profile()
    await harness.zero()
    await harness.work_done()
    await harness.profile(2, orders=(order("forced"),))
    first, second = await harness.suspensions()
    assert second.evidence == first.evidence == "svc-1001 read back: off"
    assert second.confirmed_at == first.confirmed_at
    assert (second.mode, second.holds) == ("forced", ("funds", "forced"))
    rows = await harness.sql("select event_id from suspender.outbox")
    assert len({row["event_id"] for row in rows}) == 2
    await harness.profile(2, orders=(order("forced"),))
    await harness.profile(3, orders=(order("forced", None), order("exemption", "svc-other")))
    assert len(await harness.suspensions()) == 2


async def test_a_hold_without_a_mail_owes_none_when_it_becomes_the_only_reason(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(orders=(order("manual"),))
    await harness.work_done()
    await harness.zero(mail_owed=False)
    await harness.profile(2)
    assert [event.zero_mail for event in await harness.suspensions()] == [False, False, False]


async def test_before_confirmation_a_new_reason_changes_only_the_row(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(orders=(order("manual"),))
    await harness.zero()
    await harness.profile(2)
    assert await harness.outbox() == []
    await harness.work_done()
    assert reasons(await harness.suspensions()) == [(("funds",), True)]


async def test_a_reason_that_is_obsolete_within_its_batch_is_not_published(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(orders=(order("manual"),))
    await harness.zero()
    await harness.work_done()
    await harness.send(profile(2), harness.next_restored())
    assert len(await harness.suspensions()) == 1


async def test_a_hold_that_becomes_client_wide_is_a_change_of_reason(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(orders=(order("manual", "svc-1001"),))
    await harness.work_done()
    await harness.profile(2, orders=(order("manual"),))
    assert [event.client_wide for event in await harness.suspensions()] == [False, True]


async def test_without_voip_service_a_change_of_reason_is_published_later(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(orders=(order("manual"),))
    await harness.work_done()
    await harness.profile(2, profile={"has_voip_service": False})
    await harness.zero()
    assert len(await harness.suspensions()) == 1
    await harness.profile(3)
    assert reasons(await harness.suspensions())[1:] == [(("funds",), True)]


# --- random sequences of events against a short reference ---

ACTS = st.lists(
    st.sampled_from(
        ["zero", "restored", "manual", "whmcs", "exemption", "none", "metered", "no-voip", "end"]
    ),
    max_size=14,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ACTS)
def test_after_any_sequence_of_events_the_desired_state_follows_the_holds(acts: list[str]) -> None:
    """The pure rules, event by event, against a reference without rows."""
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
    harness: SuspenderHarness,
) -> None:
    request_id = uuid4()
    for _ in range(2):
        await harness.command("make-coffee", request_id)
        await harness.command("brake.release", request_id)
    await harness.command("brake.release", service="rating")
    ((state, words),) = await harness.answers()
    assert state == "refused"
    assert "make-coffee" in words
