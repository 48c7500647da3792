"""Duplicates in a worker that does not check the ledger: no second charge, the same events."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rating.posting.settlement import MAX_BALANCE_MICRO
from rating.service import CHECK_FIRST
from rating.store import BatchTransaction
from ringfence_contracts.money import MAX_MICRO
from ringfence_contracts.records import Outcome
from ringfence_contracts.topics import BALANCE_CHANGED, CALL_RATED
from ringfence_testing.records import account, call
from tests.support.rating import Bench, open_bench, payment


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


def published(outcome: Outcome) -> set[tuple[object, bytes]]:
    return {(event.event_id, event.value) for event in outcome.publish}


async def row_counts(bench: Bench) -> list[tuple[str, int]]:
    tables = ("ledger", "not_billed", "unrated")
    return [(t, await bench.value(f"select count(*) from rating.{t}")) for t in tables]


@pytest.mark.parametrize("check_first", [0, 5])
async def test_a_charged_call_stays_charged_when_a_filter_excludes_it_later(
    bench: Bench, check_first: int
) -> None:
    first = await bench.rate(call(1))
    await bench.save_accounts(account(version=2, package={"not_billed": ["[outbound]"]}))
    again = await bench.rate(call(1), call(2), worker=bench.new_worker(check_first))
    assert published(first) <= published(again)
    assert await bench.entries() == [("charge", -10_000)]
    assert await row_counts(bench) == [("ledger", 1), ("not_billed", 1), ("unrated", 0)]
    assert await bench.drift() == []


@pytest.mark.parametrize("check_first", [0, 5])
async def test_a_charged_call_stays_charged_when_it_cannot_be_rated_later(
    bench: Bench, check_first: int
) -> None:
    first = await bench.rate(call(1))
    await bench.save_accounts(account(version=2, extensions=("2999",)))
    again = await bench.rate(call(1), call(2), worker=bench.new_worker(check_first))
    assert published(first) <= published(again)
    assert await row_counts(bench) == [("ledger", 1), ("not_billed", 0), ("unrated", 1)]
    assert await bench.drift() == []


@pytest.mark.parametrize("check_first", [0, 5])
async def test_a_posted_payment_that_is_invalid_later_is_no_dead_letter(
    bench: Bench, check_first: int
) -> None:
    whole = [payment(str(n), MAX_MICRO) for n in range(MAX_BALANCE_MICRO // MAX_MICRO)]
    first = await bench.pay(*whole)
    bench.worker = bench.new_worker(check_first)
    again = await bench.pay(whole[-1])
    assert again.reject == []
    assert published(again)
    bench.worker = bench.new_worker(check_first)
    refused = await bench.pay(payment("more", 1))
    assert [dead.reason[:14] for dead in refused.reject] == ["amount_micro: "]
    assert first.reject == []
    assert await bench.balance() == MAX_BALANCE_MICRO


async def test_a_batch_with_some_duplicates_gives_the_same_result_as_with_a_check(
    bench: Bench,
) -> None:
    """The free seconds and balances that the undone attempt had reckoned with leave no trace."""
    await bench.save_accounts(account(version=2, package={"free_minutes": 3}))
    dice = random.Random(3)
    calls = [call(n, billsec=dice.randrange(1, 200)) for n in range(60)]
    await bench.rate(*calls[:20])
    await bench.rate(*calls[10:40], worker=bench.new_worker(0))
    await bench.rate(*calls[39:], *calls[:5], worker=bench.new_worker(5))
    minutes = sum(-(-c.billsec // 60) for c in calls)
    assert await bench.balance() == -(minutes - 3) * 10_000
    assert await bench.free_used() == 180
    assert await bench.value("select count(*) from rating.ledger") == 60
    assert await bench.drift() == []


async def test_after_a_duplicate_the_next_batches_are_checked_against_the_ledger(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = bench.new_worker(0)
    checks: list[bool] = []
    read_all, read_some = BatchTransaction.existing, BatchTransaction.existing_without_entry

    async def with_entries(transaction: BatchTransaction, entries: Any, calls: Any) -> Any:
        found = await read_all(transaction, entries, calls)
        checks[-1] = True
        return found

    async def without_entries(transaction: BatchTransaction, calls: Any) -> Any:
        checks.append(False)
        return await read_some(transaction, calls)

    monkeypatch.setattr(BatchTransaction, "existing", with_entries)
    monkeypatch.setattr(BatchTransaction, "existing_without_entry", without_entries)
    await bench.rate(call(1), worker=worker)
    await bench.rate(call(1), worker=worker)
    for number in range(2, 2 + CHECK_FIRST):
        await bench.rate(call(number), worker=worker)
    assert checks == [False, False, True, *[True] * (CHECK_FIRST - 1), False]


async def test_workers_with_and_without_the_check_charge_the_same_calls_once(bench: Bench) -> None:
    dice = random.Random(11)
    calls = [call(n, billsec=1 + n) for n in range(120)]
    batches = [dice.sample(calls, 30) for _ in range(24)]

    async def take(check_first: int) -> None:
        worker = bench.new_worker(check_first)
        while batches:
            batch = batches.pop()
            outcome = await bench.rate_with_retries(*batch, worker=worker)
            rated = {event.event_id for event in outcome.publish if event.topic is CALL_RATED}
            assert len(rated) == 30
            assert any(event.topic is BALANCE_CHANGED for event in outcome.publish)

    await asyncio.gather(take(0), take(0), take(100))
    seen = await bench.value("select count(*) from rating.ledger")
    assert await bench.balance() == -sum(-(-(1 + n) // 60) * 10_000 for n in await numbers(bench))
    assert seen == len(await numbers(bench))
    assert await bench.drift() == []


async def numbers(bench: Bench) -> list[int]:
    rows = await bench.sql(
        "select (explanation::json ->> 'billsec')::int - 1 as n from rating.ledger"
    )
    return [row["n"] for row in rows]
