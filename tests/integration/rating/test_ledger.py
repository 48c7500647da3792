"""Rating's handler on a real database: ledger entries and published events."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ringfence_contracts.events.balance import BalanceChanged
from ringfence_contracts.events.call import CallRated, CallUnrated
from ringfence_contracts.records import Outcome
from ringfence_contracts.topics import (
    BALANCE_CHANGED,
    CALL_COMPLETED,
    CALL_RATED,
    CALL_UNRATED,
    PAYMENT_RECEIVED,
    Topic,
)
from ringfence_testing.records import NOON, account, call, from_bytes, read, received
from tests.support.rating import Bench, open_bench, payment


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


def published(outcome: Outcome, topic: Topic) -> Sequence[Any]:
    return [read(event) for event in outcome.publish if event.topic is topic]


async def test_a_call_is_charged_and_published_with_its_explanation(bench: Bench) -> None:
    outcome = await bench.rate(call(billsec=61))
    (rated,) = published(outcome, CALL_RATED)
    assert isinstance(rated, CallRated)
    assert (rated.cost_micro, rated.billed_s, rated.account_id) == (20_000, 120, "1001")
    assert rated.explanation["prefix"] == "1"
    assert rated.explanation["tariff_version"] == 1
    (changed,) = published(outcome, BALANCE_CHANGED)
    assert isinstance(changed, BalanceChanged)
    assert (changed.balance_micro, changed.from_balance_micro) == (-20_000, 0)
    assert await bench.balance() == -20_000


async def test_a_call_that_comes_again_is_charged_once_and_yields_the_same_events(
    bench: Bench,
) -> None:
    first = await bench.rate(call())
    again = await bench.rate(call(), call())
    assert await bench.balance() == -10_000
    of_first = {(e.event_id, e.value) for e in first.publish}
    assert {(e.event_id, e.value) for e in again.publish} == of_first


async def test_a_call_that_comes_again_with_other_content_is_rejected(
    bench: Bench,
) -> None:
    await bench.rate(call(billsec=60))
    outcome = await bench.rate(call(billsec=600))
    assert [r.reason for r in outcome.reject] == [
        "call: came again with other content; the first one is kept"
    ]
    assert await bench.balance() == -10_000
    assert await bench.drift() == []


async def test_a_charged_call_stays_with_its_account_when_its_extension_moves(bench: Bench) -> None:
    await bench.rate(call())
    await bench.save_accounts(account(version=2, extensions=("2999",)), account("1002"))
    await bench.rate(call(), worker=bench.new_worker())
    assert await bench.balance("1001") == -10_000
    assert await bench.balance("1002") == 0


async def test_two_concurrent_workers_charge_the_same_calls_once(bench: Bench) -> None:
    calls = [call(n) for n in range(200)]
    workers = [bench.new_worker(), bench.new_worker(), bench.new_worker()]

    await asyncio.gather(*(bench.rate_with_retries(*calls, worker=worker) for worker in workers))
    assert await bench.balance() == -200 * 10_000
    assert await bench.drift() == []


async def test_an_invalid_record_is_rejected_by_field_and_affects_no_other(
    bench: Bench,
) -> None:
    bad = call(2).to_json().replace(b'"billsec":60', b'"billsec":-5')
    outcome = await bench.worker.handle(
        [
            from_bytes(CALL_COMPLETED, bad, call(2).call_id),
            from_bytes(CALL_COMPLETED, b"{not json"),
            received(CALL_COMPLETED, call(3), call(3).call_id),
        ]
    )
    reasons = [rejected.reason for rejected in outcome.reject]
    assert reasons[0] == "billsec: got -5, expected 0 or more"
    assert "valid JSON" in reasons[1]
    assert await bench.balance() == -10_000
    assert {r["call_id"] for r in await bench.sql("select call_id from rating.dead_call")} >= {
        call(2).call_id
    }


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"extension": "2999"}, "unknown-product"),
        ({"tenant": "nobody.example"}, "unknown-product"),
        ({"destination_number": "01197412345678"}, "no-matching-prefix"),
        ({"started_at": NOON - timedelta(days=30)}, "no-tariff-in-force"),
        ({"direction": "", "destination_number": "14165550100"}, "unknown-direction"),
        ({"destination_number": "sip:nobody"}, "invalid-number"),
    ],
)
async def test_a_call_that_cannot_be_rated_waits_with_its_reason(
    bench: Bench, fields: dict[str, Any], reason: str
) -> None:
    outcome = await bench.rate(call(**fields))
    (waiting,) = published(outcome, CALL_UNRATED)
    assert isinstance(waiting, CallUnrated)
    assert waiting.reason == reason
    assert await bench.balance() == 0


async def test_a_waiting_call_is_charged_once_when_its_account_arrives(bench: Bench) -> None:
    await bench.rate(call(tenant="south.example"))
    await bench.save_accounts(account("1002", tenant="south.example"))
    assert [await bench.worker.replay(), await bench.worker.replay()] == [1, 0]
    events = await bench.sql("select topic, key from rating.outbox order by id")
    assert [tuple(e) for e in events] == [
        (CALL_RATED.name, "1002"),
        (BALANCE_CHANGED.name, "1002"),
    ]
    await bench.rate(call(tenant="south.example"))
    assert await bench.balance("1002") == -10_000
    assert await bench.sql("select * from rating.unrated") == []


async def test_calls_that_cost_nothing_are_stored_with_their_rule(bench: Bench) -> None:
    outcome = await bench.rate(
        call(1, billsec=0),
        call(2, direction="local", destination_number="2113"),
        call(3, direction="inbound", caller_destination="5192229000", extension=""),
    )
    reasons = [rated.reason for rated in published(outcome, CALL_RATED)]
    assert reasons == ["unanswered", "local", "inbound-not-enabled"]
    assert published(outcome, BALANCE_CHANGED) == []
    again = await bench.rate(call(1, billsec=0))
    assert [e.event_id for e in again.publish] == [outcome.publish[0].event_id]


async def test_a_top_up_is_posted_once_and_its_key_with_another_amount_is_rejected(
    bench: Bench,
) -> None:
    for _ in range(2):
        await bench.pay(payment("k1", 20_000_000))
    other = payment("k1", 30_000_000)
    outcome = await bench.receive_payments(other)
    assert [r.reason for r in outcome.reject] == [
        "payment: came again with other content; the first one is kept"
    ]
    assert await bench.balance() == 20_000_000


async def test_a_payment_in_another_currency_is_rejected(bench: Bench) -> None:
    euros = payment("k1", 20_000_000, currency="EUR")
    outcome = await bench.pay(euros)
    assert [r.reason for r in outcome.reject] == ["currency: got EUR, expected the account's CAD"]
    assert await bench.balance() == 0


async def test_a_top_up_between_calls_is_published_as_its_own_change(bench: Bench) -> None:
    """Else a balance that rose and fell again within a batch would hide its crossings."""
    await bench.hold(payment("k1", 20_000_000))
    outcome = await bench.worker.handle(
        [
            received(CALL_COMPLETED, call(1), call(1).call_id),
            received(PAYMENT_RECEIVED, payment("k1", 20_000_000)),
            received(CALL_COMPLETED, call(2), call(2).call_id),
        ]
    )
    assert [c.balance_micro for c in published(outcome, BALANCE_CHANGED)] == [
        20_000_000,
        19_980_000,
    ]


async def test_free_minutes_are_used_up_exactly_over_batches(bench: Bench) -> None:
    await bench.save_accounts(account(version=2, package={"free_minutes": 2}))
    await bench.rate(call(1), worker=bench.new_worker())
    outcome = await bench.rate(call(2, billsec=120), worker=bench.new_worker())
    (rated,) = published(outcome, CALL_RATED)
    assert (rated.free_s, rated.cost_micro) == (60, 10_000)
    await bench.rate(call(1), call(2, billsec=120), worker=bench.new_worker())
    assert await bench.balance() == -10_000


async def test_a_bundle_is_used_up_in_the_middle_of_a_call_and_by_no_redelivery(
    bench: Bench,
) -> None:
    """The call that uses it up pays for its rest, and the national minutes stay."""
    near = {"name": "near", "minutes": 3, "prefixes": ["1416"]}
    package = {"free_minutes": 5, "free_bundles": [near]}
    await bench.save_accounts(account(version=2, package=package))
    calls = [call(n, billsec=90, destination_number="14162345678") for n in (1, 2)]
    calls.append(call(3, billsec=60, destination_number="16042345678"))
    outcome = await bench.rate(*calls, worker=bench.new_worker())
    rated = published(outcome, CALL_RATED)
    assert [(r.free_s, r.cost_micro) for r in rated] == [(120, 0), (60, 10_000), (60, 0)]
    await bench.rate(call(4, billsec=90, destination_number="14162345678"))
    used = await bench.free_used_by_bundle()
    for _ in range(2):
        await bench.rate(*calls, worker=bench.new_worker())
    again = await bench.free_used_by_bundle()
    assert again == used == {"": 60, "near": 180}
    assert await bench.balance() == -30_000
    assert await bench.drift() == []


async def test_a_call_is_rated_by_the_tariff_in_force_when_it_was_answered(bench: Bench) -> None:
    dearer = [("1", "North America", "0.05", 60, 60, 1)]
    await bench.publish_tariff(*dearer, version=2, effective_from=NOON + timedelta(hours=1))
    await bench.rate(call(1), call(2, started_at=NOON + timedelta(hours=2)))
    assert await bench.balance() == -60_000


async def test_the_ledger_can_be_neither_changed_nor_emptied_by_its_service(bench: Bench) -> None:
    await bench.rate(call())
    connection = await asyncpg.connect(bench.dsn, server_settings={"role": "ringfence_rating"})
    try:
        for statement in (
            "update rating.ledger set amount_micro = 0",
            "delete from rating.ledger",
            "truncate rating.ledger",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_an_account_never_changes_its_currency(bench: Bench) -> None:
    outcome = await bench.save_accounts(account(version=2, currency="USD"))
    assert [r.reason for r in outcome.reject] == ["currency: got USD, expected the ledger's own"]
    assert (await bench.rate(call())).reject == []
    assert await bench.balance() == -10_000
