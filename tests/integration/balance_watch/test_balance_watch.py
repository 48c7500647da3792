"""Balance-watch's handler on a real database: holds, levels, and each crossing published once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from balance_watch.service import BalanceWatch
from balance_watch.store import WatchStore
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.balance import (
    BalanceChanged,
    BalanceLow,
    BalanceRestored,
    BalanceZero,
)
from ringfence_contracts.ids import derive
from ringfence_contracts.money import parse_micro
from ringfence_contracts.records import Outcome, Received
from ringfence_contracts.topics import ACCOUNT_CHANGED, BALANCE_CHANGED
from ringfence_testing.records import NOON, account, from_bytes, read, received
from tests.support.narrow import expect, present

UNIT = 1_000_000


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with await open_pool(database, service="balance-watch") as pool:
        yield pool


@pytest.fixture
async def watch(pool: Pool) -> BalanceWatch:
    """Balance-watch that knows one client: threshold 15, no debts."""
    watch = BalanceWatch(store=WatchStore(pool))
    await watch.handle([profile(1)])
    return watch


@pytest.fixture
async def owner(database: str) -> AsyncIterator[Any]:
    """A look into all schemas of the database."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


def profile(version: int, owe: int = 0, account_id: str = "1001", **fields: Any) -> Received:
    changed = account(account_id, version=version, outstanding_micro=owe * UNIT, **fields)
    return received(ACCOUNT_CHANGED, changed, derive("profile", account_id, version))


def balance(
    version: int,
    units: str | int,
    account_id: str = "1001",
    *,
    settled: int | None = None,
    opening: bool = False,
) -> Received:
    """A balance after the posting that made `version`; `opening`: after the opening balance."""
    cause = ("payment", account_id, "opening") if opening else ("call", version)
    change = BalanceChanged(
        account_id=account_id,
        version=version,
        balance_micro=parse_micro(str(units)),
        from_version=version - 1,
        from_balance_micro=0,
        currency="CAD",
        cause="adjustment" if opening else "charge",
        cause_id=derive(*cause),
        occurred_at=NOON,
        settled=settled,
    )
    return received(BALANCE_CHANGED, change, derive("balance", account_id, version))


IMPORTED = {"voip_suspended": "Yes", "voip_suspended_by": "import"}


def kinds(outcome: Outcome) -> list[str]:
    assert outcome.reject == []
    return [event.topic.name.split(".")[1] for event in outcome.publish]


async def published(watch: BalanceWatch, *batch: Received) -> list[str]:
    return kinds(await watch.handle(batch))


async def event(watch: BalanceWatch, *batch: Received) -> Any:
    """The one crossing that a batch publishes."""
    outcome = await watch.handle(batch)
    assert len(outcome.publish) == 1, kinds(outcome)
    return read(outcome.publish[0])


async def known(pool: Pool, account_id: str = "1001") -> Any:
    return await pool.fetchrow(
        "select * from balance_watch.account where account_id = $1", account_id
    )


async def pairs(pool: Pool, account_id: str = "1001") -> list[Any]:
    return await pool.fetch(
        "select * from balance_watch.funds_pair where account_id = $1 order by number", account_id
    )


async def test_a_fall_is_published_once_and_the_level_kept(watch: BalanceWatch) -> None:
    assert await published(watch, balance(1, 20)) == []
    assert await published(watch, balance(2, 14)) == ["low"]
    assert await published(watch, balance(3, 13)) == []
    assert await published(watch, balance(4, -1)) == ["zero"]
    assert await published(watch, balance(5, -2)) == []
    assert await published(watch, balance(6, 30)) == ["restored"]


async def test_a_replay_publishes_the_same_again_with_the_same_id(
    watch: BalanceWatch, pool: Pool
) -> None:
    batch = [balance(1, 20), balance(2, 14), profile(2, 20), balance(3, -2), profile(3)]
    first = await watch.handle(batch)
    recorded = await pairs(pool)
    again = await watch.handle(batch)
    assert kinds(first) == ["low", "zero"]
    assert {(e.event_id, e.value) for e in again.publish} == {
        (e.event_id, e.value) for e in first.publish
    }
    assert await pairs(pool) == recorded
    assert (await known(pool))["crossings"] == 2


async def test_a_late_older_balance_changes_nothing(watch: BalanceWatch) -> None:
    assert await published(watch, balance(1, 20), balance(5, 10)) == ["low"]
    assert await published(watch, balance(3, -18)) == []
    assert await published(watch, balance(6, 9)) == []


async def test_a_late_older_profile_changes_nothing(watch: BalanceWatch) -> None:
    await published(watch, balance(1, 20), profile(3))
    assert await published(watch, profile(2, 60)) == []


# SW1 to SW4: the pairs that the service of before decided wrongly.


async def test_debts_paid_do_not_end_a_hold_while_there_is_no_credit(
    watch: BalanceWatch, pool: Pool
) -> None:
    """SW1: credit 50, debts 60, a chargeback of 60, the debts are paid: still no money."""
    await published(watch, balance(1, 50))
    assert await published(watch, profile(2, 60)) == ["zero"]
    assert await published(watch, balance(2, -10), profile(3)) == []
    assert (await known(pool))["held"]


async def test_a_call_that_ends_below_zero_keeps_the_hold_of_debts_that_are_paid(
    watch: BalanceWatch, pool: Pool
) -> None:
    """SW2: off for debts, the call in progress ends below zero, the invoice is paid."""
    await published(watch, balance(1, 5))
    assert await published(watch, profile(2, 6)) == ["zero"]
    assert await published(watch, balance(2, "-0.40"), profile(3)) == []
    assert await published(watch, balance(3, "-12.40"), balance(4, "-51.20")) == []
    assert await published(watch, balance(5, "-46.20")) == []
    assert (await known(pool))["held"]
    assert await published(watch, balance(6, 5)) == ["restored"]


async def test_credit_applied_to_an_invoice_with_the_rest_paid_by_card_ends_the_hold(
    watch: BalanceWatch, pool: Pool
) -> None:
    """SW3: held at 0.00 although nothing is owed any more, until money comes in."""
    await published(watch, balance(1, 50))
    assert await published(watch, profile(2, 60)) == ["zero"]
    assert await published(watch, balance(2, 0), profile(3, 10), profile(4)) == []
    assert (await known(pool))["held"]
    assert await published(watch, balance(3, 5)) == ["restored"]


async def test_debts_are_compared_with_the_current_balance(watch: BalanceWatch, pool: Pool) -> None:
    """SW4: two top-ups without a crossing, then debts that the newer credit covers."""
    await published(watch, balance(1, 50), balance(2, 150))
    assert await published(watch, profile(2, 60)) == []
    assert not (await known(pool))["held"]


async def test_between_the_limits_a_hold_stays_and_none_begins(watch: BalanceWatch) -> None:
    await published(watch, balance(1, 50))
    assert await published(watch, profile(2, 50), profile(3, 1)) == []
    zero = await event(watch, profile(4, 51))
    assert isinstance(zero, BalanceZero)
    assert (zero.reason, zero.balance_micro, zero.crossing) == ("outstanding", 50 * UNIT, 1)
    assert await published(watch, profile(5, 50), balance(2, 80), profile(6, 1)) == []
    restored = await event(watch, profile(7))
    assert isinstance(restored, BalanceRestored)
    assert (restored.level_before, restored.level, restored.crossing) == ("exhausted", "ok", 2)
    assert (zero.hold, restored.hold) == (1, 1)


# Accepted and settled payments: a credit older than the debts decides nothing.


async def test_a_top_up_in_flight_does_not_begin_a_hold(watch: BalanceWatch, pool: Pool) -> None:
    """The debts were written after a payment that the balance does not hold yet."""
    await published(watch, balance(1, 50, settled=1))
    assert await published(watch, profile(2, 60, accepted=2)) == []
    assert await published(watch, balance(2, 49, settled=1)) == []
    assert await published(watch, balance(3, 99, settled=2)) == []
    assert not (await known(pool))["held"]
    assert await published(watch, profile(3, 100, accepted=2)) == ["zero"]


@pytest.mark.parametrize("balance_first", [True, False])
async def test_a_hold_for_debts_begins_when_the_payment_is_settled_and_still_too_little(
    watch: BalanceWatch, pool: Pool, balance_first: bool
) -> None:
    await published(watch, balance(1, 50, settled=1))
    events = [profile(2, 60, accepted=2), balance(2, 55, settled=2)]
    if balance_first:
        events.reverse()
    assert await published(watch, events[0]) == []
    assert await published(watch, events[1]) == ["zero"]
    last = (await pairs(pool))[-1]
    assert (last["funds"], last["held"]) == ("spent", True)


async def test_a_hold_never_ends_with_a_credit_that_is_older_than_the_debts(
    watch: BalanceWatch,
) -> None:
    """The credit paid the invoice (an adjustment in flight): nothing is owed, and nothing left."""
    await published(watch, balance(1, 50, settled=1), profile(2, 60, accepted=1))
    assert await published(watch, profile(3, 0, accepted=2)) == []
    assert await published(watch, balance(2, -10, settled=2)) == []
    assert await published(watch, balance(3, 10, settled=3)) == ["restored"]


async def test_a_hold_ends_with_the_settlement_that_it_waited_for(watch: BalanceWatch) -> None:
    await published(watch, balance(1, 5, settled=1), profile(2, 60, accepted=1))
    assert await published(watch, profile(3, 0, accepted=2)) == []
    assert await published(watch, balance(2, "4.9", settled=1)) == []
    assert await published(watch, balance(3, "24.9", settled=2)) == ["restored"]


async def test_credit_that_is_used_up_holds_at_once_whatever_is_in_flight(
    watch: BalanceWatch,
) -> None:
    await published(watch, balance(1, 5, settled=1), profile(2, 0, accepted=4))
    assert await published(watch, balance(2, 0, settled=1)) == ["zero"]
    assert await published(watch, balance(3, 3, settled=2)) == []
    assert await published(watch, balance(4, 9, settled=4)) == ["restored"]


async def test_balances_without_a_count_of_payments_are_trusted(watch: BalanceWatch) -> None:
    await published(watch, balance(1, 5), profile(2, 60, accepted=7))
    assert await published(watch, profile(3, 0, accepted=8)) == ["restored"]


async def test_a_count_of_payments_that_is_too_low_makes_no_known_payment_unknown(
    watch: BalanceWatch,
) -> None:
    await published(watch, balance(1, 50, settled=3), profile(2, 0, accepted=3))
    assert await published(watch, balance(2, 40, settled=1)) == []
    assert await published(watch, profile(3, 60, accepted=3)) == ["zero"]


# The first postings: opening balances and imports.


async def test_an_opening_of_zero_holds_and_owes_no_mail(watch: BalanceWatch) -> None:
    zero = await event(watch, balance(1, 0, opening=True))
    assert isinstance(zero, BalanceZero)
    assert (zero.reason, zero.mail_owed, zero.hold) == ("credit", False, 1)
    assert await published(watch, balance(2, 20)) == ["restored"]
    zero = await event(watch, balance(3, -1))
    assert (zero.mail_owed, zero.hold) == (True, 2)


async def test_a_first_posting_that_is_no_opening_owes_the_mail(watch: BalanceWatch) -> None:
    zero = await event(watch, balance(1, "-0.01"))
    assert zero.mail_owed
    assert await published(watch, balance(1, "-0.01")) == ["zero"]
    assert await published(watch, balance(2, -1)) == []


@pytest.mark.parametrize("profile_first", [True, False])
async def test_an_opening_below_the_debts_owes_no_mail_in_either_order(
    watch: BalanceWatch, profile_first: bool
) -> None:
    events = [profile(1, 10, "1002"), balance(1, 5, "1002", opening=True)]
    zero = await event(watch, *(events if profile_first else reversed(events)))
    assert (zero.reason, zero.mail_owed) == ("outstanding", False)


async def test_an_opening_below_the_threshold_begins_no_stay_but_the_next_posting_does(
    watch: BalanceWatch,
) -> None:
    assert await published(watch, balance(1, 10, opening=True)) == []
    low = await event(watch, balance(2, 9))
    assert isinstance(low, BalanceLow)
    assert (low.stay, low.crossing) == (1, 1)
    assert await published(watch, balance(3, 8)) == []


async def test_a_first_top_up_above_the_threshold_publishes_nothing(watch: BalanceWatch) -> None:
    assert await published(watch, balance(1, 0, opening=True), balance(2, 5)) == [
        "zero", "restored",
    ]  # fmt: skip
    assert await published(watch, balance(3, 6)) == []
    assert await published(watch, balance(4, "5.5")) == ["low"]


@pytest.mark.parametrize("late", [0, 1, 2])
async def test_a_profile_that_comes_after_postings_changes_no_alert(
    watch: BalanceWatch, late: int
) -> None:
    """The threshold was known to accounts before: it is not raised by coming late."""
    events = [balance(1, 10, "1002", opening=True), balance(2, 9, "1002")]
    events.insert(late, profile(1, 0, "1002"))
    came = [kind for one in events for kind in await published(watch, one)]
    assert came == ["low"]


async def test_a_client_that_was_off_at_its_import_begins_held(
    watch: BalanceWatch, pool: Pool
) -> None:
    zero = await event(watch, profile(1, 0, "1002", profile=IMPORTED))
    assert isinstance(zero, BalanceZero)
    assert (zero.mail_owed, zero.hold, zero.balance_version) == (False, 1, 0)
    (pair,) = await pairs(pool, "1002")
    assert (pair["held"], pair["imported"]) == (True, True)
    assert await published(watch, profile(2, 5, "1002", profile=IMPORTED)) == []
    assert await published(watch, balance(1, 20, "1002", opening=True)) == []
    restored = await event(watch, profile(3, 0, "1002", profile=IMPORTED))
    assert (restored.level_before, restored.level) == ("exhausted", "ok")


async def test_an_imported_hold_ends_with_the_opening_if_there_is_money(
    watch: BalanceWatch,
) -> None:
    await published(watch, profile(1, 0, "1002", profile=IMPORTED, accepted=1))
    restored = await event(watch, balance(1, 20, "1002", opening=True, settled=1))
    assert (restored.level_before, restored.level, restored.hold) == ("exhausted", "ok", 1)


async def test_without_a_posting_an_imported_hold_of_a_credit_limit_stays(
    watch: BalanceWatch, pool: Pool
) -> None:
    await published(watch, profile(1, 0, "1002", profile=IMPORTED, credit_limit_micro=UNIT))
    later = profile(2, 0, "1002", profile=IMPORTED, credit_limit_micro=2 * UNIT)
    assert await published(watch, later) == []
    assert (await known(pool, "1002"))["held"]
    assert await published(watch, balance(1, "-1.5", "1002", opening=True)) == ["restored"]


@pytest.mark.parametrize(
    ("owe", "held"), [(0, False), (5, True), (21, True)], ids=["free", "between", "spent"]
)
async def test_an_import_after_the_opening_begins_a_hold_unless_the_funds_are_free(
    watch: BalanceWatch, pool: Pool, owe: int, held: bool
) -> None:
    await published(watch, balance(1, 20, "1002", opening=True))
    outcome = await watch.handle([profile(1, owe, "1002", profile=IMPORTED)])
    assert (await known(pool, "1002"))["held"] is held
    zeros = [read(one) for one in outcome.publish]
    assert [expect(BalanceZero, zero).mail_owed for zero in zeros] == [False] * held


async def test_voip_suspended_written_by_us_is_not_an_import(
    watch: BalanceWatch, pool: Pool
) -> None:
    ours = {"voip_suspended": "Yes", "voip_suspended_by": "us"}
    assert await published(watch, profile(1, 0, "1002", profile=ours)) == []
    assert (await known(pool, "1002"))["level"] is None


async def test_only_the_first_profile_imports_a_hold(watch: BalanceWatch, pool: Pool) -> None:
    await published(watch, balance(1, 20))
    assert await published(watch, profile(2, 5, profile=IMPORTED)) == []
    assert not (await known(pool))["held"]


async def test_balances_that_come_before_any_profile_are_watched(watch: BalanceWatch) -> None:
    assert await published(watch, balance(1, 5, "1009"), balance(2, 0, "1009")) == ["zero"]


# Credit limits, thresholds, stays, mode.


async def test_a_credit_limit_moves_the_end_of_funds(watch: BalanceWatch) -> None:
    await published(watch, balance(1, 20), profile(2, credit_limit_micro=10 * UNIT))
    assert await published(watch, balance(2, 0)) == ["low"]
    assert await published(watch, balance(3, "-9.999999")) == []
    zero = await event(watch, balance(4, -10))
    assert (zero.reason, zero.credit_limit_micro) == ("credit", 10 * UNIT)
    assert await published(watch, profile(3, credit_limit_micro=11 * UNIT)) == ["restored"]
    assert await published(watch, profile(4)) == ["zero"]


async def test_debts_end_a_credit_limit(watch: BalanceWatch) -> None:
    """Without debts a negative credit within the limit is no hold; any debt larger than it is."""
    limit: dict[str, Any] = {"credit_limit_micro": 10 * UNIT}
    await published(watch, balance(1, 20), profile(2, **limit), balance(2, -5))
    zero = await event(watch, profile(3, 1, **limit))
    assert zero.reason == "outstanding"
    assert await published(watch, profile(4, 0, **limit)) == ["restored"]


async def test_a_threshold_raised_over_the_credit_begins_a_stay(watch: BalanceWatch) -> None:
    await published(watch, balance(1, 20))
    low = await event(watch, profile(2, threshold_micro=25 * UNIT))
    assert (low.threshold_micro, low.stay, low.balance_micro) == (25 * UNIT, 1, 20 * UNIT)
    assert await published(watch, profile(3, threshold_micro=30 * UNIT)) == []
    assert await published(watch, balance(2, 19)) == []
    assert await published(watch, balance(3, 31), balance(4, 24)) == ["restored", "low"]


async def test_a_threshold_lowered_below_the_credit_ends_the_stay(watch: BalanceWatch) -> None:
    await published(watch, balance(1, 20), balance(2, 10))
    restored = await event(watch, profile(2, threshold_micro=5 * UNIT))
    assert (restored.level_before, restored.level) == ("low", "ok")
    low = await event(watch, profile(3, threshold_micro=10 * UNIT))
    assert (low.stay, low.crossing) == (2, 3)
    assert await published(watch, profile(4, threshold_micro=None)) == ["restored"]


async def test_a_small_top_up_that_ends_a_hold_begins_a_stay_when_the_credit_falls(
    watch: BalanceWatch,
) -> None:
    await published(watch, balance(1, 20), balance(2, -1))
    restored = await event(watch, balance(3, 5))
    assert (restored.level_before, restored.level) == ("exhausted", "low")
    assert await published(watch, profile(2, threshold_micro=16 * UNIT)) == []
    assert await published(watch, balance(4, 6)) == []
    low = await event(watch, balance(5, "5.5"))
    assert low.stay == 1
    assert await published(watch, balance(6, 5), balance(7, 6), balance(8, 3)) == []


async def test_debts_paid_leave_a_low_client_without_an_alert_until_the_credit_falls(
    watch: BalanceWatch,
) -> None:
    await published(watch, balance(1, 20), profile(2, 30), balance(2, 10))
    assert await published(watch, profile(3)) == ["restored"]
    assert await published(watch, balance(3, 9), balance(4, 8)) == ["low"]


async def test_going_live_while_low_publishes_the_alert_once_more(watch: BalanceWatch) -> None:
    await published(watch, profile(2, mode="shadow"), balance(1, 20))
    first = await event(watch, balance(2, 10))
    again = await event(watch, profile(3))
    assert isinstance(again, BalanceLow)
    assert (first.stay, again.stay) == (1, 2)
    assert again.crossing == first.crossing + 1
    assert await published(watch, profile(4), balance(3, 9)) == []


async def test_going_live_with_credit_or_without_publishes_nothing(watch: BalanceWatch) -> None:
    await published(watch, profile(2, mode="shadow"), balance(1, 20))
    assert await published(watch, profile(3), profile(4, mode="shadow")) == []
    await published(watch, balance(2, -1))
    assert await published(watch, profile(5)) == []


async def test_events_have_the_time_of_their_cause(watch: BalanceWatch) -> None:
    zero = await event(watch, balance(1, -1))
    assert zero.occurred_at == NOON
    assert zero.currency == "CAD"


async def test_an_unreadable_record_is_rejected_and_the_next_is_processed(
    watch: BalanceWatch,
) -> None:
    outcome = await watch.handle(
        [from_bytes(BALANCE_CHANGED, b'{"account_id": 7}'), balance(1, 20), balance(2, 3)]
    )
    assert len(outcome.reject) == 1
    assert "account_id" in outcome.reject[0].reason
    (low,) = (read(event) for event in outcome.publish)
    assert isinstance(low, BalanceLow)
    assert low.balance_version == 2


async def test_the_level_is_in_the_report_view(watch: BalanceWatch, pool: Pool) -> None:
    await published(watch, profile(2, 60, accepted=1), balance(1, 50, settled=1))
    row = present(await pool.fetchrow("select * from report.level where account_id = '1001'"))
    shown = (row["level"], row["held"], row["hold"], row["funds"], row["accepted"], row["settled"])
    assert shown == ("exhausted", True, 1, "spent", 1, 1)
    pair = present(await pool.fetchrow("select * from report.funds_pair where account_id = '1001'"))
    assert (pair["balance_version"], pair["profile_version"], pair["held"]) == (1, 2, True)


async def test_only_changes_are_recorded_in_the_history(watch: BalanceWatch, pool: Pool) -> None:
    await published(watch, *(balance(version, 100 - version) for version in range(1, 60)))
    assert [row["funds"] for row in await pairs(pool)] == ["free"]
    await published(watch, profile(2, 10), profile(3, 11), profile(4, 60), profile(5, 10))
    recorded = [(row["funds"], row["held"]) for row in await pairs(pool)]
    assert recorded == [("free", False), ("between", False), ("spent", True), ("between", True)]


# The history explains every hold, whatever the order of events.

NUMBERS = count(1)
BALANCES = st.tuples(st.just("balance"), st.integers(-3, 6), st.none() | st.integers(0, 3))
PROFILES = st.tuples(
    st.just("profile"), st.integers(0, 4), st.integers(0, 2), st.integers(0, 3), st.booleans()
)


def _events(account_id: str, chosen: Sequence[tuple[Any, ...]]) -> list[Received]:
    versions = {"balance": 0, "profile": 0}
    made = []
    for kind, *values in chosen:
        versions[kind] += 1
        version = versions[kind]
        if kind == "balance":
            units, settled = values
            made.append(balance(version, units, account_id, settled=settled, opening=version == 1))
        else:
            owe, limit, accepted, imported = values
            made.append(
                profile(
                    version,
                    owe,
                    account_id,
                    credit_limit_micro=limit * UNIT,
                    accepted=accepted,
                    profile=IMPORTED if imported else {},
                )
            )
    return made


def _explained(rows: Sequence[Any]) -> bool:
    """The hold that follows from the recorded pairs, checked row by row."""
    held = False
    for number, row in enumerate(rows, 1):
        assert row["number"] == number
        credit, debts = row["balance_micro"], row["outstanding_micro"]
        together = row["settled"] is None or row["settled"] >= row["accepted"]
        used_up = credit <= -row["credit_limit_micro"]
        known = row["balance_version"] > 0
        if row["imported"] or (known and (used_up or (together and debts > max(credit, 0)))):
            held = True
        elif known and together and debts == 0:
            held = False
        assert row["held"] is held, dict(row)
    return held


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    chosen=st.lists(BALANCES | PROFILES, min_size=1, max_size=14),
    shuffle=st.randoms(use_true_random=False),
    size=st.integers(1, 5),
)
async def test_the_history_explains_every_hold_in_any_order(
    watch: BalanceWatch,
    pool: Pool,
    owner: Any,
    chosen: Any,
    shuffle: Any,
    size: int,
) -> None:
    """Events late, repeated and across topics in any order; holds begin and end in turn."""
    account_id = f"p-{next(NUMBERS)}"
    events = _events(account_id, chosen)
    events += shuffle.sample(events, k=len(events) // 2)
    shuffle.shuffle(events)
    sent: dict[Any, Any] = {}
    for start in range(0, len(events), size):
        outcome = await watch.handle(events[start : start + size])
        sent |= {one.event_id: read(one) for one in outcome.publish}
    crossings = sorted(sent.values(), key=lambda one: one.crossing)
    assert [one.crossing for one in crossings] == list(range(1, len(crossings) + 1))
    held = False
    for one in crossings:
        if isinstance(one, BalanceZero):
            assert not held
            held = True
        elif isinstance(one, BalanceRestored) and one.level_before == "exhausted":
            assert held
            held = False
    row = await known(pool, account_id)
    assert row["held"] is held is _explained(await pairs(pool, account_id))
    assert (row["level"] == "exhausted") is held
    assert row["holds"] == sum(isinstance(one, BalanceZero) for one in crossings)
    assert row["stays"] == sum(isinstance(one, BalanceLow) for one in crossings)
    assert await owner.fetch("select * from rating.drift_i11_pairs") == []


async def test_two_workers_with_the_same_records_publish_the_same_crossing(
    watch: BalanceWatch, database: str, pool: Pool
) -> None:
    """The account's row is locked: who comes second finds what the first one published."""
    await published(watch, balance(1, 20))
    async with await open_pool(database, service="balance-watch") as other:
        second = BalanceWatch(store=WatchStore(other))
        batch = [balance(2, 10), balance(3, -1)]
        one, two = await asyncio.gather(watch.handle(batch), second.handle(batch))
    assert kinds(one) == kinds(two) == ["low", "zero"]
    assert {(e.event_id, e.value) for e in one.publish} == {
        (e.event_id, e.value) for e in two.publish
    }
    assert (await known(pool))["crossings"] == 2
