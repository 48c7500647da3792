"""Re-rating by another tariff version: linked reversals and charges, idempotent, with undo."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rating.audit.invariants import verify
from rating.audit.store import AuditStore
from rating.rerating.plan import RerateOrder
from ringfence_contracts.errors import BadInput, Conflict
from ringfence_contracts.events.account import DAYS
from ringfence_contracts.events.balance import BalanceChanged
from ringfence_contracts.events.call import CallRated
from ringfence_contracts.topics import BALANCE_CHANGED, CALL_RATED
from ringfence_testing.records import NOON, account, call
from tests.support.rating import BRITAIN, Bench, open_bench, payment

DEARER = ("1", "North America", "0.03", 60, 60, 1)
BY_SECOND = ("1", "North America", "0.01", 1, 1, 1)
ORDER = RerateOrder("north", 2, "2026-11-01", "2026-12-01")


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


async def differing(bench: Bench) -> dict[str, list[str]]:
    """The checks that do not hold, both ways of reading the ledger, with what they found.

    Without I12: it compares the copies of other services, and here is rating alone.
    """
    found = {}
    for full in (True, False):
        checks, _ = await verify(
            AuditStore(bench.pool), wait_s=0, on_progress=lambda *_: None, full=full
        )
        found.update(
            {
                check.name: [*check.differences, check.unknown]
                for check in checks
                if not check.holds and check.name != "I12"
            }
        )
    return found


async def test_a_dry_run_shows_each_client_s_difference_and_writes_nothing(bench: Bench) -> None:
    await bench.save_accounts(account("1002", tenant="south.example"))
    await bench.rate(call(1), call(2, tenant="south.example"), call(3, tenant="south.example"))
    await bench.publish_tariff(DEARER, version=2)
    plans = await bench.rerating().dry_run(ORDER)
    assert {p.account_id: (p.differ, p.difference_micro) for p in plans} == {
        "1001": (1, -20_000),
        "1002": (2, -40_000),
    }
    assert [await bench.balance("1001"), await bench.balance("1002")] == [-10_000, -20_000]
    assert await bench.sql("select * from rating.rerate_run") == []


async def test_a_charge_that_differs_is_reversed_and_charged_again(bench: Bench) -> None:
    await bench.pay(payment("k", 1_000_000))
    await bench.rate(call())
    await bench.publish_tariff(DEARER, version=2)
    run, _ = await bench.rerating().apply(ORDER)
    assert await bench.entries() == [
        ("top-up", 1_000_000),
        ("charge", -10_000),
        ("reversal", 10_000),
        ("charge", -30_000),
    ]
    assert await bench.balance() == 970_000
    assert await differing(bench) == {}
    (shown,) = await bench.sql("select cost_micro, explanation from report.call")
    assert shown["cost_micro"] == 30_000
    linked = await bench.sql("select reverses, explanation from rating.ledger order by version")
    first = await bench.value("select entry_id from rating.ledger where version = 2")
    assert linked[2]["reverses"] == first
    assert str(run.run_id) in linked[3]["explanation"]


async def test_a_rerating_publishes_each_call_and_one_balance_change(
    bench: Bench,
) -> None:
    """Reversal and charge apart would lift an empty account for a moment, and restore its trunk."""
    await bench.rate(call(1), call(2))
    await bench.publish_tariff(DEARER, version=2)
    run, _ = await bench.rerating().apply(ORDER)
    events = await bench.outbox()
    assert [e["topic"] for e in events] == [CALL_RATED.name] * 2 + [BALANCE_CHANGED.name]
    rated = CallRated.model_validate(events[0])
    assert rated.cost_micro == 30_000
    assert rated.replaces
    assert (rated.replaces.cost_micro, rated.replaces.run_id) == (10_000, run.run_id)
    changed = BalanceChanged.model_validate(events[2])
    assert (changed.from_version, changed.from_balance_micro) == (2, -20_000)
    assert (changed.version, changed.balance_micro) == (6, -60_000)


async def test_an_undo_restores_every_balance_by_new_entries_only(bench: Bench) -> None:
    await bench.rate(call(1), call(2))
    await bench.publish_tariff(DEARER, version=2)
    run, _ = await bench.rerating().apply(ORDER)
    for _ in range(2):
        await bench.rerating().undo(run.run_id)
        assert await bench.balance() == -20_000
    assert len(await bench.entries()) == 2 + 4 + 4
    assert await differing(bench) == {}
    assert [row["cost_micro"] for row in await bench.sql("select * from report.call")] == [
        10_000
    ] * 2


async def test_an_undone_period_can_be_rerated_again(bench: Bench) -> None:
    await bench.rate(call())
    await bench.publish_tariff(DEARER, version=2)
    for _ in range(2):
        run, _ = await bench.rerating().apply(ORDER)
        assert await bench.balance() == -30_000
        await bench.rerating().undo(run.run_id)
        assert await bench.balance() == -10_000
    assert await differing(bench) == {}
    assert len(await bench.sql("select * from report.rerate_run")) == 2


async def test_applying_twice_changes_nothing_more_and_leaves_no_run(bench: Bench) -> None:
    await bench.rate(call())
    await bench.publish_tariff(DEARER, version=2)
    await bench.rerating().apply(ORDER)
    await bench.rerating().apply(ORDER)
    assert await bench.balance() == -30_000
    assert len(await bench.sql("select * from report.rerate_run")) == 1


class _Killed(Exception):
    pass


async def test_an_interrupted_run_is_completed_without_duplicates(bench: Bench) -> None:
    names = ["1001", *(str(n) for n in range(1002, 1006))]
    for name in names[1:]:
        await bench.save_accounts(account(name, tenant=f"t{name}.example"))
    tenants = ["north.example", *(f"t{name}.example" for name in names[1:])]
    await bench.rate(*(call(n, tenant=tenant) for n, tenant in enumerate(tenants)))
    await bench.publish_tariff(DEARER, version=2)

    def die(done: int, total: int) -> None:
        if done == 3:
            raise _Killed

    with pytest.raises(_Killed):
        await bench.rerating(die).apply(ORDER)
    assert [await bench.balance(n) for n in names] == [-30_000] * 3 + [-10_000] * 2
    run, _ = await bench.rerating().apply(ORDER)
    assert [await bench.balance(n) for n in names] == [-30_000] * 5
    (listed,) = await bench.sql("select * from report.rerate_run")
    assert (listed["run_id"], listed["calls"], listed["difference_micro"]) == (
        run.run_id,
        5,
        -100_000,
    )
    with pytest.raises(_Killed):
        await bench.rerating(die).undo(run.run_id)
    await bench.rerating().undo(run.run_id)
    assert [await bench.balance(n) for n in names] == [-10_000] * 5
    assert await differing(bench) == {}


async def test_a_completed_run_does_not_change_its_own_charges(bench: Bench) -> None:
    """Though by now it would come out otherwise: a call is re-rated once by a run."""
    await bench.save_accounts(account("1002", tenant="south.example"))
    await bench.rate(call(1), call(2, tenant="south.example"))
    await bench.publish_tariff(DEARER, version=2)

    def die(done: int, total: int) -> None:
        raise _Killed

    with pytest.raises(_Killed):
        await bench.rerating(die).apply(ORDER)
    await bench.save_accounts(account(version=2, package={"free_minutes": 10}))
    await bench.rerating().apply(ORDER)
    assert [await bench.balance("1001"), await bench.balance("1002")] == [-30_000] * 2


async def test_a_run_is_not_undone_before_a_later_one_on_the_same_calls(bench: Bench) -> None:
    await bench.rate(call())
    await bench.publish_tariff(DEARER, version=2)
    await bench.publish_tariff(("1", "North", "0.05", 60, 60, 1), version=3)
    first, _ = await bench.rerating().apply(ORDER)
    second, _ = await bench.rerating().apply(ORDER._replace(version_id=3))
    with pytest.raises(Conflict, match=str(second.run_id)):
        await bench.rerating().undo(first.run_id)
    await bench.rerating().undo(second.run_id)
    await bench.rerating().undo(first.run_id)
    assert await bench.balance() == -10_000
    assert await differing(bench) == {}


async def test_a_call_that_comes_again_after_a_rerating_changes_nothing(bench: Bench) -> None:
    await bench.rate(call())
    await bench.publish_tariff(DEARER, version=2)
    await bench.rerating().apply(ORDER)
    await bench.rate(call(), worker=bench.new_worker())
    assert await bench.balance() == -30_000


async def test_the_period_ends_in_the_account_s_time_zone(bench: Bench) -> None:
    """04:59 UTC is the evening before in Toronto, 05:00 the new month."""
    last = NOON.replace(month=12, day=1, hour=4, minute=59)
    bench.clock.set(last + timedelta(hours=1))
    await bench.rate(call(1, started_at=last), call(2, started_at=last + timedelta(minutes=1)))
    await bench.publish_tariff(DEARER, version=2)
    plans = await bench.rerating().dry_run(ORDER)
    assert [(p.examined, p.difference_micro) for p in plans] == [(1, -20_000)]


async def test_only_the_version_changes_markup_and_fee_stay_as_charged(bench: Bench) -> None:
    await bench.save_accounts(
        account(version=2, package={"markup_percent": "200", "connection_fee": "0.5"})
    )
    await bench.rate(call())
    await bench.save_accounts(
        account(version=3, package={"markup_percent": "300", "connection_fee": "9"})
    )
    await bench.publish_tariff(DEARER, version=2)
    await bench.rerating().apply(ORDER)
    assert await bench.balance() == -(30_000 * 2 + 500_000)


async def test_amounts_of_a_row_are_those_of_the_version(bench: Bench) -> None:
    """A row's fee is not taken for the package's when its charge is priced again."""
    await bench.save_accounts(account(version=2, package={"minimum_cost": "0.02"}))
    await bench.publish_tariff(
        ("1", "North America", "0.01", 60, 60, 1, "0.5", None, "0.4"),
        version=2,
        effective_from=NOON - timedelta(hours=1),
    )
    await bench.rate(call())
    assert await bench.balance() == -400_000
    await bench.publish_tariff(("1", "North America", "0.01", 60, 60, 1), version=3)
    order = ORDER._replace(version_id=3)
    await bench.rerating().apply(order)
    assert await bench.balance() == -20_000
    assert await bench.drift() == []


async def test_free_seconds_are_allocated_again_and_restored_by_undo(bench: Bench) -> None:
    """By the minute, the first call took all; by the second, there is something left for two."""
    await bench.save_accounts(account(version=2, package={"free_minutes": 1}))
    await bench.rate(call(1, billsec=20), call(2, billsec=20))
    assert (await bench.balance(), await bench.free_used()) == (-10_000, 60)
    await bench.publish_tariff(BY_SECOND, version=2)
    run, _ = await bench.rerating().apply(ORDER)
    assert (await bench.balance(), await bench.free_used()) == (0, 40)
    await bench.rerating().undo(run.run_id)
    assert (await bench.balance(), await bench.free_used()) == (-10_000, 60)
    assert await differing(bench) == {}


async def test_free_seconds_of_a_bundle_are_moved_and_restored_as_that_bundle_s(
    bench: Bench,
) -> None:
    """Ontario's minute goes to two calls by the second; the national one belongs to the third."""
    near = {"name": "near", "minutes": 1, "prefixes": ["1416"]}
    await bench.save_accounts(
        account(version=2, package={"free_minutes": 1, "free_bundles": [near]})
    )
    here, there = "14162345678", "16042345678"
    await bench.rate(
        *(call(n, billsec=20, destination_number=here) for n in (1, 2)),
        call(3, billsec=20, destination_number=there),
    )
    assert await bench.free_used_by_bundle() == {"": 60, "near": 60}
    assert await bench.balance() == -10_000
    await bench.publish_tariff(BY_SECOND, version=2)
    run, _ = await bench.rerating().apply(ORDER)
    assert await bench.free_used_by_bundle() == {"": 20, "near": 40}
    assert await bench.balance() == 0
    await bench.rerating().undo(run.run_id)
    assert await bench.free_used_by_bundle() == {"": 60, "near": 60}
    assert await bench.balance() == -10_000
    assert await differing(bench) == {}


async def test_a_charge_keeps_its_bundle_after_its_package_has_lost_it(bench: Bench) -> None:
    near = {"name": "near", "minutes": 1, "prefixes": ["1416"]}
    await bench.save_accounts(account(version=2, package={"free_bundles": [near]}))
    await bench.rate(call(1, billsec=90, destination_number="14162345678"))
    await bench.save_accounts(account(version=3, package={"free_minutes": 5}))
    await bench.publish_tariff(DEARER, version=2)
    await bench.rerating().apply(ORDER)
    assert await bench.balance() == -30_000
    assert await bench.free_used_by_bundle() == {"near": 60}


async def test_a_charge_of_a_time_band_is_rerated_by_its_own_tariff_and_markup(
    bench: Bench,
) -> None:
    """Also after the package has lost the band; the band stays in the explanation."""
    whole_day = {"name": "week", "days": DAYS, "begins": "00:00", "ends": "00:00"}
    band = whole_day | {"markup_percent": "300"}
    await bench.save_accounts(account(version=2, package={"time_bands": [band]}))
    await bench.rate(call(1, billsec=60))
    assert await bench.balance() == -30_000
    await bench.save_accounts(account(version=3, package={"markup_percent": "100"}))
    await bench.publish_tariff(DEARER, version=2)
    await bench.rerating().apply(ORDER)
    assert await bench.balance() == -90_000
    bands = await bench.sql(
        "select explanation::jsonb->'explanation'->>'time_band' as band from rating.ledger"
        " where kind = 'charge' order by version"
    )
    assert [row["band"] for row in bands] == ["week", "week"]


async def test_a_version_with_the_same_rates_changes_nothing(bench: Bench) -> None:
    await bench.save_accounts(
        account(version=2, package={"free_minutes": 2, "markup_percent": "133.3"})
    )
    await bench.rate(*(call(n, billsec=7 * n) for n in range(1, 20)))
    await bench.publish_tariff(("1", "North America", "0.01", 60, 60, 1), BRITAIN, version=2)
    plans = await bench.rerating().dry_run(ORDER)
    assert [(p.examined, p.differ) for p in plans] == [(19, 0)]


async def test_a_charge_that_the_version_cannot_price_stays_and_is_reported(bench: Bench) -> None:
    await bench.rate(call(1), call(2, destination_number="011442079460000"))
    await bench.publish_tariff(DEARER, version=2)
    (planned,) = await bench.rerating().dry_run(ORDER)
    assert planned.differ == 1
    assert list(planned.unchanged) == ["tariff north version 2 has no prefix of 442079460000"]


async def test_an_unknown_version_or_an_invalid_period_is_rejected(bench: Bench) -> None:
    with pytest.raises(BadInput, match="a version of north: 1"):
        await bench.rerating().dry_run(ORDER)
    for wrong in (ORDER._replace(to_text="2026-11-01"), ORDER._replace(from_text="yesterday")):
        with pytest.raises(BadInput):
            await bench.rerating().dry_run(wrong)
