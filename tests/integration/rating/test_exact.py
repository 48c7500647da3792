"""Sums are exact to the micro-unit: busy accounts, several workers, replay, order, time zones."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from rating.rerating.plan import RerateOrder
from ringfence.postgres.pool import open_pool
from ringfence_contracts.events.call import CallCompleted
from ringfence_testing.records import NOON, account, call
from tests.support.rating import NORTH, Bench, open_bench, payment

MANY = 40


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


async def work(bench: Bench, workers: int, batches: Sequence[Sequence[CallCompleted]]) -> None:
    """Several workers process the batches of one list."""
    left = list(batches)

    async def take() -> None:
        worker = bench.new_worker()
        while left:
            await bench.rate_with_retries(*left.pop(), worker=worker)

    await asyncio.gather(*(take() for _ in range(workers)))


def cut(calls: Sequence[CallCompleted], size: int) -> list[Sequence[CallCompleted]]:
    return [calls[start : start + size] for start in range(0, len(calls), size)]


def cost_micro(calls: Sequence[CallCompleted]) -> int:
    """By hand: whole minutes at 0.01."""
    return sum(-(-c.billsec // 60) * 10_000 for c in calls)


async def test_sums_are_exact_with_nine_of_ten_calls_on_one_account(bench: Bench) -> None:
    small = [f"small-{n:02}" for n in range(MANY)]
    await bench.save_accounts(*(account(name, tenant=f"{name}.example") for name in small))
    dice = random.Random(7)
    tenants = ["north.example" if n % 10 else f"{dice.choice(small)}.example" for n in range(3000)]
    calls = [
        call(n, tenant=tenant, billsec=dice.randrange(1, 400)) for n, tenant in enumerate(tenants)
    ]
    dice.shuffle(calls)
    await work(bench, 4, [*cut(calls, 150), *cut(calls[:900], 70)])
    for name, tenant in [("1001", "north.example"), *((n, f"{n}.example") for n in small)]:
        mine = [c for c in calls if c.tenant == tenant]
        assert await bench.balance(name) == -cost_micro(mine)
    assert await bench.value("select count(*) from rating.ledger") == 3000
    assert await bench.drift() == []


async def test_the_same_batch_by_several_workers_at_once_counts_once(bench: Bench) -> None:
    calls = [call(n, billsec=1 + 7 * n) for n in range(200)]
    workers = [bench.new_worker() for _ in range(4)]
    await asyncio.gather(*(bench.rate_with_retries(*calls, worker=worker) for worker in workers))
    assert await bench.balance() == -cost_micro(calls)
    assert await bench.drift() == []


async def test_free_minutes_are_split_exactly_under_concurrency_and_replay(bench: Bench) -> None:
    """500 minutes are free; all calls together take 1020 by the minute, however they fall."""
    await bench.save_accounts(account(version=2, package={"free_minutes": 500}))
    calls = [call(n, billsec=61 + n % 120) for n in range(300)]
    waiting = [call(1000 + n, billsec=90, extension="2999") for n in range(150)]
    await bench.rate(*waiting)
    await bench.save_accounts(
        account(version=3, package={"free_minutes": 500}, extensions=("2112", "2999"))
    )

    async def replay() -> None:
        while await bench.worker.replay():
            pass

    await asyncio.gather(work(bench, 3, [*cut(calls, 20), *cut(calls, 50)]), replay(), replay())
    await replay()
    minutes = sum(-(-c.billsec // 60) for c in [*calls, *waiting])
    assert minutes == 1020
    assert await bench.free_used() == 500 * 60
    assert await bench.balance() == -(minutes - 500) * 10_000
    assert (
        await bench.value(
            "select sum((explanation::json ->> 'free_s')::int)::int from rating.ledger"
        )
        == 500 * 60
    )
    assert await bench.drift() == []


async def test_a_rerating_among_rating_workers_leaves_exact_sums(bench: Bench) -> None:
    calls = [call(n, billsec=60) for n in range(600)]
    await work(bench, 2, cut(calls[:300], 50))
    await bench.publish_tariff(("1", "North", "0.03", 60, 60, 1), version=2,
                               effective_from=NOON + timedelta(days=300))  # fmt: skip
    order = RerateOrder("north", 2, "2026-11-01", "2026-12-01")
    await asyncio.gather(
        work(bench, 2, cut(calls, 50)), bench.rerating().apply(order), bench.rerating().apply(order)
    )
    await bench.rerating().apply(order)
    assert await bench.balance() == -600 * 30_000
    assert await bench.drift() == []


calls_and_money = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(0, 5), st.integers(0, 500)),
        st.tuples(st.just("pay"), st.integers(0, 3), st.integers(1, 10**9)),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda item: item[:2],
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(items=calls_and_money, data=st.data())
def test_the_order_of_arrival_does_not_change_the_final_balance(
    database: str, items: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    """Each of two accounts gets the same, in another order and with some of it twice."""
    shuffled = data.draw(st.permutations(items))
    again = data.draw(st.lists(st.sampled_from(items), max_size=4))
    first, second = asyncio.run(_both(database, items, [*shuffled, *again]))
    assert first == second


_runs = iter(range(10**9))


async def _both(database: str, *ways: Sequence[tuple[str, int, int]]) -> list[tuple[int, int]]:
    found = []
    async with await open_pool(database, service="rating", size=4) as pool:
        bench = Bench(database, pool)
        if not await bench.sql("select * from rating.tariff"):
            await bench.publish_tariff(NORTH)
        for way in ways:
            name = f"run-{next(_runs)}"
            package = {"free_minutes": 5, "connection_fee": "0"}
            await bench.save_accounts(account(name, tenant=f"{name}.example", package=package))
            for kind, number, amount in way:
                if kind == "pay":
                    await bench.pay(payment(str(number), amount, name))
                else:
                    source_call_id = f"{name}-{number}"
                    await bench.rate(
                        call(
                            source_call_id=source_call_id, tenant=f"{name}.example", billsec=amount
                        )
                    )
            assert await bench.drift() == []
            found.append((await bench.balance(name), await bench.free_used(name)))
    return found


def midnight(year: int, month: int, day: int, utc_hour: int) -> datetime:
    return datetime(year, month, day, utc_hour, tzinfo=UTC)


async def test_a_call_over_midnight_belongs_to_the_period_of_its_answer(bench: Bench) -> None:
    """It rings in October, is answered in November, or goes on from one into the other."""
    await bench.publish_tariff(NORTH, version=2, effective_from=midnight(2020, 1, 1, 0))
    await bench.save_accounts(account(version=2, package={"free_minutes": 3}))
    end = midnight(2026, 11, 1, 4)  # of October in Toronto
    rings = end - timedelta(seconds=10)
    await bench.rate(
        call(
            1,
            started_at=rings,
            answered_at=end + timedelta(seconds=5),
            ended_at=end + timedelta(seconds=65),
            billsec=60,
        ),
        call(2, started_at=rings, answered_at=rings, billsec=120),
    )
    rows = await bench.sql("select period::text, used_s from rating.free_minutes order by period")
    assert [tuple(row) for row in rows] == [("2026-10-01", 120), ("2026-11-01", 60)]


async def test_each_period_has_its_free_minutes_over_clock_changes_and_leap_days(
    bench: Bench,
) -> None:
    bench.clock.set(datetime(2028, 6, 1, tzinfo=UTC))
    await bench.publish_tariff(NORTH, version=2, effective_from=midnight(2020, 1, 1, 0))
    await bench.save_accounts(account(version=2, package={"free_minutes": 1}))
    moments = [
        midnight(2026, 3, 8, 6),  # the night of 23 hours
        midnight(2026, 11, 1, 5),  # the hour that comes twice: in summer time,
        midnight(2026, 11, 1, 6),  # and again in winter time
        midnight(2028, 2, 29, 17),  # a leap day at noon
        midnight(2028, 3, 1, 4),  # still the 29th there
        midnight(2028, 3, 1, 5),
    ]
    calls = [call(n, started_at=moment, billsec=60) for n, moment in enumerate(moments)]
    await bench.rate(*calls)
    assert await bench.free_used() == 4 * 60
    assert await bench.balance() == -2 * 10_000
    rows = await bench.sql("select period::text from rating.free_minutes order by period")
    assert [row["period"] for row in rows] == [
        "2026-03-01", "2026-11-01", "2028-02-01", "2028-03-01",
    ]  # fmt: skip


async def test_an_unknown_zone_is_logged_and_its_calls_are_rated_by_utc(bench: Bench) -> None:
    lost = account(version=2, package={"free_minutes": 1}).model_copy(
        update={"time_zone": "Mars/Olympus"}
    )
    with capture_logs() as logs:
        await bench.save_accounts(lost)
    assert [entry["time_zone"] for entry in logs if "time_zone" in entry] == ["Mars/Olympus"]
    await bench.rate(call())
    assert await bench.free_used() == 60
