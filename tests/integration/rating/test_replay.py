"""Replay: calls that could not be rated are rated again, each charged once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rating.rerating.plan import RerateOrder
from ringfence_testing.records import NOON, account, call
from tests.support.rating import Bench, open_bench


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


async def test_a_replayed_call_is_rated_by_the_bill_from_instant_of_its_new_product(
    bench: Bench,
) -> None:
    """A product for a tenant whose calls were queued: what was before it is not billed."""
    await bench.rate(call(1, tenant="south.example"))
    late: dict[str, object] = {"bill_from": NOON + timedelta(days=1)}
    await bench.save_accounts(account("1002", tenant="south.example", service=late))
    assert await bench.replay() == 1
    assert await bench.sql("select * from rating.unrated") == []
    assert await bench.value("select reason from rating.not_billed") == "before-bill-from"
    assert await bench.drift() == []


async def test_a_replayed_call_is_charged_once_by_any_number_of_attempts(
    bench: Bench,
) -> None:
    calls = [call(n, extension="2999") for n in range(30)]
    await bench.rate(*calls)
    await bench.save_accounts(account(version=2, extensions=("2112", "2999")))
    workers = [bench.new_worker() for _ in range(3)]
    await asyncio.gather(
        *(worker.replay() for worker in workers for _ in range(3)),
        bench.rate(*calls, worker=bench.new_worker()),
    )
    await bench.replay()
    assert await bench.balance() == -300_000
    assert await bench.sql("select * from rating.unrated") == []
    assert await bench.drift() == []


async def test_a_replayed_call_that_still_cannot_be_rated_gets_its_new_reason(bench: Bench) -> None:
    await bench.rate(call(tenant="south.example", destination_number="011999"))
    await bench.save_accounts(account("1002", tenant="south.example"))
    assert await bench.replay() == 1
    (row,) = await bench.sql("select reason, account_id, replay_requested_at from rating.unrated")
    assert tuple(row) == ("invalid-number", "1002", None)
    assert await bench.replay() == 0


async def test_a_call_that_waited_too_long_is_left_to_the_operator(bench: Bench) -> None:
    await bench.rate(call(tenant="south.example"))
    long_ago = NOON - timedelta(days=365 * 50)
    await bench.sql("update rating.unrated set queued_at = $1", long_ago)
    await bench.save_accounts(account("1002", tenant="south.example"))
    assert await bench.replay() == 0


def test_the_days_of_a_rerating_are_in_the_account_s_time_zone() -> None:
    start, end = RerateOrder("t", 1, "2026-03-08", "2026-03-09").span("America/Toronto")
    assert end - start == timedelta(hours=23)
