"""The claim check (ADR 24): payments that accounts does not hold wait, each with an alarm."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from rating.claims.loop import ClaimLoop
from rating.claims.store import ClaimTransaction
from ringfence.observe.health import Progress
from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.ids import derive
from ringfence_contracts.topics import (
    BALANCE_CHANGED,
    CALL_COMPLETED,
    PAYMENT_RECEIVED,
    RATING_ALARM,
)
from ringfence_testing.records import NOON, account, call, received
from ringfence_testing.wait import until
from tests.support.rating import Bench, open_bench, payment

PAID = payment("k1", 20_000_000, reference="card 4242")


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


async def waiting(bench: Bench) -> list[tuple[Any, int]]:
    rows = await bench.sql("select payment_id, amount_micro from rating.unclaimed order by since")
    return [tuple(row) for row in rows]


async def alarms(bench: Bench) -> list[Alarm]:
    """What the outbox holds for the alarms' topic."""
    rows = await bench.sql(
        "select value from rating.outbox where topic = $1 order by id", RATING_ALARM.name
    )
    return [Alarm.model_validate_json(row["value"]) for row in rows]


def loop(bench: Bench, every_s: float = 5) -> ClaimLoop:
    return ClaimLoop(rating=bench.worker, progress=Progress("claims"), every_s=every_s)


async def test_a_payment_that_accounts_does_not_hold_waits_under_an_alarm(bench: Bench) -> None:
    outcome = await bench.receive_payments(PAID)
    assert (outcome.reject, list(outcome.publish)) == ([], [])
    assert await bench.entries() == []
    assert await waiting(bench) == [(PAID.payment_id, 20_000_000)]
    (alarm,) = await alarms(bench)
    assert (alarm.key, alarm.subject) == ("payment-unclaimed", f"1001/{PAID.payment_id}")
    assert (alarm.severity, alarm.state, alarm.account_id) == ("critical", "raised", "1001")
    for word in ("top-up of 20.00 CAD", "1001 (Ada North)", "accounts does not hold"):
        assert word in alarm.message
    assert f"ringfence payments claim {PAID.payment_id}" in alarm.what_to_do


@pytest.mark.parametrize("check_first", [0, 5])
async def test_other_records_of_a_batch_with_a_forged_payment_are_processed(
    bench: Bench, check_first: int
) -> None:
    await bench.hold(payment("good", 5_000_000))
    bench.worker = bench.new_worker(check_first)
    outcome = await bench.worker.handle(
        [
            received(PAYMENT_RECEIVED, PAID),
            received(PAYMENT_RECEIVED, payment("good", 5_000_000)),
            received(CALL_COMPLETED, call(), call().call_id),
        ]
    )
    assert outcome.reject == []
    assert await bench.entries() == [("top-up", 5_000_000), ("charge", -10_000)]
    assert await waiting(bench) == [(PAID.payment_id, 20_000_000)]


@pytest.mark.parametrize(
    "held",
    [
        PAID.model_copy(update={"amount_micro": 2_000_000}),
        PAID.model_copy(update={"kind": "adjustment"}),
        PAID.model_copy(update={"currency": "USD"}),
        PAID.model_copy(update={"account_id": "1002"}),
    ],
)
async def test_a_payment_that_accounts_holds_with_other_content_is_not_posted(
    bench: Bench, held: PaymentReceived
) -> None:
    await bench.hold(held)
    await bench.receive_payments(PAID)
    assert await bench.value("select count(*) from rating.ledger") == 0
    assert await waiting(bench) == [(PAID.payment_id, 20_000_000)]
    (alarm,) = await alarms(bench)
    assert "accounts holds another content: A" in alarm.message


async def test_an_unclaimed_payment_opens_no_account(bench: Bench) -> None:
    """Else a forged currency would be the one that the client's ledger is kept in for ever."""
    await bench.receive_payments(payment("k1", 5_000_000, "new", currency="EUR"))
    assert await bench.sql("select * from rating.account where account_id = 'new'") == []
    outcome = await bench.save_accounts(account("new", tenant="new.example"))
    assert outcome.reject == []


async def test_a_payment_that_is_published_again_after_its_claim_is_posted_once(
    bench: Bench,
) -> None:
    await bench.receive_payments(PAID)
    bench.clock.move(minutes=1)
    await bench.receive_payments(PAID)
    outcome = await bench.pay(PAID)
    assert [event.topic for event in outcome.publish] == [BALANCE_CHANGED]
    await bench.pay(PAID)
    assert await bench.entries() == [("top-up", 20_000_000)]
    assert await waiting(bench) == []
    assert [alarm.state for alarm in await alarms(bench)] == ["raised", "ended"]


async def test_a_payment_that_accounts_holds_again_is_posted_without_a_record(
    bench: Bench,
) -> None:
    await bench.receive_payments(PAID, payment("k2", 1_000_000))
    running, stop = loop(bench, every_s=0.05), asyncio.Event()
    task = asyncio.create_task(running.run(stop))
    await bench.hold(PAID)
    await until(lambda: _posted(bench), timeout_s=20, what="the payment is posted")
    stop.set()
    await task
    assert await bench.entries() == [("top-up", 20_000_000)]
    assert await waiting(bench) == [(payment("k2", 1).payment_id, 1_000_000)]
    changed = [event for event in await bench.outbox() if event["topic"] == BALANCE_CHANGED.name]
    assert [(c["balance_micro"], c["settled"]) for c in changed] == [(20_000_000, 1)]
    assert [alarm.state for alarm in await alarms(bench)] == ["raised", "raised", "ended"]
    again = await bench.receive_payments(PAID)
    assert len(again.publish) == 1
    assert await bench.balance() == 20_000_000


async def _posted(bench: Bench) -> bool:
    return bool(await bench.value("select count(*) = 1 from rating.ledger"))


async def test_a_kill_before_the_commit_leaves_the_payment_waiting_and_it_is_posted_once(
    bench: Bench,
) -> None:
    await bench.receive_payments(PAID)
    await bench.hold(PAID)
    await bench.sql(
        "create function rating.cut() returns trigger language plpgsql as"
        " $$ begin raise exception 'cut' using errcode = 'admin_shutdown'; end $$"
    )
    await bench.sql(
        "create trigger cut before delete on rating.unclaimed"
        " for each row execute function rating.cut()"
    )
    for attempt in (lambda: loop(bench).post_all(), lambda: bench.receive_payments(PAID)):
        with pytest.raises(asyncpg.AdminShutdownError):
            await attempt()
        assert await bench.entries() == []
        assert len(await waiting(bench)) == 1
    await bench.sql("drop trigger cut on rating.unclaimed")
    await asyncio.gather(
        loop(bench).post_all(), loop(bench).post_all(), bench.new_worker(0).handle(
            [received(PAYMENT_RECEIVED, PAID)]
        )
    )  # fmt: skip
    assert await bench.entries() == [("top-up", 20_000_000)]
    await loop(bench).post_all()
    assert await waiting(bench) == []
    assert await bench.drift() == []


@pytest.mark.parametrize("check_first", [0, 5])
async def test_a_payment_in_the_ledger_needs_no_claim_when_it_comes_again(
    bench: Bench, check_first: int
) -> None:
    """Accounts may have been restored since: what is posted stays posted, and is answered."""
    first = await bench.pay(PAID)
    await bench.sql("delete from accounts.payment")
    bench.worker = bench.new_worker(check_first)
    again = await bench.receive_payments(PAID)
    assert [(e.event_id, e.value) for e in again.publish] == [
        (e.event_id, e.value) for e in first.publish
    ]
    assert await waiting(bench) == []
    assert await alarms(bench) == []


async def test_other_content_with_the_id_of_a_waiting_payment_is_rejected(
    bench: Bench,
) -> None:
    await bench.receive_payments(PAID)
    outcome = await bench.receive_payments(payment("k1", 90_000_000), PAID)
    assert [dead.reason for dead in outcome.reject] == [
        "payment: came again with other content; the first one is kept"
    ]
    assert await waiting(bench) == [(PAID.payment_id, 20_000_000)]
    assert len(await alarms(bench)) == 1


async def test_a_forged_amount_does_not_stop_the_payment_that_accounts_holds(
    bench: Bench,
) -> None:
    await bench.receive_payments(payment("k1", 90_000_000))
    await bench.pay(PAID)
    assert await bench.entries() == [("top-up", 20_000_000)]
    assert await waiting(bench) == []
    refused = await bench.receive_payments(payment("k1", 90_000_000))
    assert len(refused.reject) == 1
    assert [alarm.state for alarm in await alarms(bench)] == ["raised", "ended"]


async def test_a_waiting_payment_that_cannot_be_posted_gets_a_reason_and_blocks_no_other(
    bench: Bench,
) -> None:
    euros, more = payment("e", 5_000_000, currency="EUR"), payment("k2", 1_000_000)
    await bench.receive_payments(PAID, euros, more)
    await bench.hold(PAID, euros, more)
    await loop(bench).post_all()
    await loop(bench).post_all()
    assert await bench.balance() == 21_000_000
    (row,) = await bench.sql("select payment_id, reason, record from rating.unclaimed")
    assert row["payment_id"] == euros.payment_id
    assert row["reason"] == "currency: got EUR, expected the account's CAD"
    assert row["record"] == euros.to_json().decode()


async def test_the_alarm_of_a_payment_that_an_operator_removed_ends(bench: Bench) -> None:
    await bench.receive_payments(PAID)
    await bench.sql("delete from rating.unclaimed")
    await loop(bench).post_all()
    assert [alarm.state for alarm in await alarms(bench)] == ["raised", "ended"]
    bench.clock.move(minutes=1)
    await bench.receive_payments(PAID)
    assert (await alarms(bench))[-1].state == "raised"


async def test_claims_are_read_once_for_a_batch_with_payments_and_never_for_calls(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    read = ClaimTransaction.read

    async def counted(claims: ClaimTransaction, payment_ids: Any) -> Any:
        asked.append(len(payment_ids))
        return await read(claims, payment_ids)

    monkeypatch.setattr(ClaimTransaction, "read", counted)
    await bench.rate(*(call(n) for n in range(20)))
    assert asked == []
    await bench.pay(*(payment(f"k{n}", 1_000_000) for n in range(20)))
    assert asked == [20]


async def test_an_opening_balance_of_zero_is_posted_and_published_alone(bench: Bench) -> None:
    opening = PaymentReceived(
        payment_id=derive("payment", "1001", "opening"),
        account_id="1001",
        kind="adjustment",
        amount_micro=0,
        currency="CAD",
        reference="opening balance",
        received_at=NOON - timedelta(minutes=1),
    )
    await bench.hold(opening)
    outcome = await bench.worker.handle(
        [
            received(PAYMENT_RECEIVED, opening),
            received(CALL_COMPLETED, call(1), call(1).call_id),
            received(CALL_COMPLETED, call(2), call(2).call_id),
        ]
    )
    assert await bench.entries() == [("adjustment", 0), ("charge", -10_000), ("charge", -10_000)]
    changed = [e for e in outcome.publish if e.topic is BALANCE_CHANGED]
    event = [BALANCE_CHANGED.data.model_validate_json(event.value) for event in changed]
    assert [(c.version, c.balance_micro, c.cause_id) for c in event] == [  # type: ignore[attr-defined]
        (1, 0, opening.payment_id),
        (3, -20_000, call(2).call_id),
    ]


async def test_a_refund_s_entry_names_its_payment(bench: Bench) -> None:
    refund = payment("r", -5_000_000, kind="adjustment", refunds=PAID.payment_id)
    await bench.pay(PAID, refund)
    explained = await bench.value(
        "select explanation::json ->> 'refunds' from rating.ledger where version = 2"
    )
    assert explained == str(PAID.payment_id)


async def test_a_waiting_payment_that_is_already_posted_stops_waiting(bench: Bench) -> None:
    """Two workers may see a claim come: one keeps the payment while the other one posts it."""
    await bench.receive_payments(PAID)
    await bench.sql("create table kept as select * from rating.unclaimed")
    await bench.pay(PAID)
    await bench.sql("insert into rating.unclaimed select * from kept")
    await loop(bench).post_all()
    assert await waiting(bench) == []
    assert await bench.entries() == [("top-up", 20_000_000)]
