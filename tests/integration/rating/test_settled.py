"""The number of payments in a balance: stored with the ledger, and never published too high."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rating.ledger import AccountBalance, Posting, post
from rating.rerating.plan import RerateOrder
from ringfence.postgres.pool import open_pool
from ringfence_contracts.events.balance import BalanceChanged
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outcome
from ringfence_contracts.topics import BALANCE_CHANGED, CALL_COMPLETED, PAYMENT_RECEIVED
from ringfence_testing.records import NOON, account, call, read, received
from tests.support.rating import NORTH, Bench, open_bench, payment

DEARER = ("1", "North America", "0.03", 60, 60, 1)
ORDER = RerateOrder("north", 2, "2026-11-01", "2026-12-01")


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


def changes(outcome: Outcome) -> list[BalanceChanged]:
    published = [read(event) for event in outcome.publish if event.topic is BALANCE_CHANGED]
    return [change for change in published if isinstance(change, BalanceChanged)]


kinds = st.sampled_from(["charge", "top-up", "adjustment", "reversal"])


@given(st.lists(kinds, max_size=12))
def test_a_version_s_settled_payments_are_never_overstated(posted: list[Any]) -> None:
    balance = AccountBalance("CAD", 0, 0)
    for number, kind in enumerate(posted):
        entry_id = derive("test", number)
        post(balance, Posting(entry_id, "1001", kind, 0, entry_id, NOON, b"", "{}"))
    paid = [kind in ("top-up", "adjustment") for kind in posted]
    assert balance.settled_at(len(posted)) == sum(paid)
    for version in range(len(posted)):
        assert 0 <= balance.settled_at(version) <= sum(paid[:version])


async def test_the_balance_carries_how_many_payments_are_in_it(bench: Bench) -> None:
    await bench.pay(payment("k1", 1_000_000), payment("k2", -2, kind="adjustment"))
    (charged,) = changes(await bench.rate(call(1), call(2)))
    assert (charged.version, charged.settled) == (4, 2)
    (paid,) = changes(await bench.pay(payment("k3", 5)))
    assert (paid.version, paid.settled) == (5, 3)


async def test_a_payment_that_comes_again_counts_once(bench: Bench) -> None:
    await bench.pay(payment("k1", 1_000_000))
    (again,) = changes(await bench.pay(payment("k1", 1_000_000)))
    (later,) = changes(await bench.rate(call(1)))
    assert (again.settled, later.settled) == (1, 1)


async def test_a_rerating_and_its_undoing_publish_the_payments_in_the_balance(
    bench: Bench,
) -> None:
    await bench.pay(payment("k1", 1_000_000))
    await bench.rate(call(1), call(2))
    await bench.publish_tariff(DEARER, version=2)
    run, _ = await bench.rerating().apply(ORDER)
    await bench.rerating().undo(run.run_id)
    published = [t for t in await bench.outbox() if t["topic"] == BALANCE_CHANGED.name]
    assert [(t["version"], t["settled"]) for t in published] == [(7, 1), (11, 1)]
    assert await bench.value("select settled from rating.account") == 1


class Step:
    """One batch of the story: payments and calls by number, old ones among them."""

    def __init__(self, items: Sequence[tuple[str, int]], check_first: int, rerates: bool) -> None:
        self.items = items
        self.check_first = check_first
        self.rerates = rerates

    def __repr__(self) -> str:
        return f"Step({self.items!r}, {self.check_first}, {self.rerates})"


batches = st.lists(
    st.tuples(st.sampled_from(["top-up", "adjustment", "call"]), st.integers(0, 5)), max_size=6
)
steps = st.builds(Step, batches, st.sampled_from([0, 3]), st.booleans())
_runs = iter(range(10**9))


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(story=st.lists(steps, min_size=1, max_size=5))
def test_settled_is_the_ledger_s_count_after_duplicates_and_reratings(
    database: str, story: list[Step]
) -> None:
    asyncio.run(_follow(database, story))


async def _follow(database: str, story: Sequence[Step]) -> None:
    async with await open_pool(database, service="rating", size=4) as pool:
        bench, name = Bench(database, pool), f"run-{next(_runs)}"
        if not await bench.sql("select * from rating.tariff"):
            await bench.publish_tariff(NORTH)
            await bench.publish_tariff(DEARER, version=2)
        await bench.save_accounts(account(name, tenant=f"{name}.example"))
        for number, step in enumerate(story):
            published = changes(await _take(bench, name, step))
            if step.rerates:
                order = RerateOrder("north", 1 + number % 2, "2026-11-01", "2026-12-01", name)
                await bench.rerating().apply(order)
            await _check(bench, name, published)


async def _take(bench: Bench, name: str, step: Step) -> Outcome:
    batch = []
    for kind, number in step.items:
        if kind == "call":
            made = call(source_call_id=f"{name}-{number}", tenant=f"{name}.example")
            batch.append(received(CALL_COMPLETED, made, made.call_id))
        else:
            paid = payment(f"{kind}-{number}", 1_000_000 + number, name, kind=kind)
            await bench.hold(paid)
            batch.append(received(PAYMENT_RECEIVED, paid))
    return await bench.new_worker(step.check_first).handle(batch)


async def _check(bench: Bench, name: str, published: Sequence[BalanceChanged]) -> None:
    rows = await bench.sql(
        "select kind in ('top-up', 'adjustment') from rating.ledger where account_id = $1"
        " order by version",
        name,
    )
    paid = [row[0] for row in rows]
    kept = await bench.value("select settled from rating.account where account_id = $1", name)
    assert kept == sum(paid)
    for change in published:
        assert change.settled is not None
        assert change.settled <= sum(paid[: change.version])
    # A re-rating published the latest version elsewhere; each batch's own last event is exact.
    for change in published[-1:]:
        if change.version == len(paid):
            assert change.settled == sum(paid)
    outbox = [t for t in await bench.outbox() if t.get("account_id") == name and "settled" in t]
    assert all(t["settled"] <= sum(paid[: t["version"]]) for t in outbox)
    if outbox and outbox[-1]["version"] == len(paid):
        assert outbox[-1]["settled"] == sum(paid)
