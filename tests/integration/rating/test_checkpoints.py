"""`ringfence verify` from checkpoints: what is read, what is sealed, and what is found later."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from rating.audit import loop
from rating.audit.checkpoints import ledger_check
from rating.audit.finding import Check
from rating.audit.invariants import Sums, verify
from rating.audit.loop import Audit
from rating.audit.store import AuditStore
from rating.rerating.plan import RerateOrder
from ringfence.observe.health import Progress
from ringfence_testing.records import account, call
from tests.support.rating import Bench, open_bench, payment

DEARER = ("1", "North America", "0.03", 60, 60, 1)
OF = " where account_id = '1001' and version = "
ACCOUNT = " where account_id = '1001'"
LEDGER = ("I1", "I2", "I4", "I8")


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    """1001 has a payment and 449 calls: two whole slices and 50 entries; 1002 has 3 calls."""
    async with open_bench(database) as bench:
        await bench.save_accounts(account("1002", tenant="south.example"))
        await bench.pay(payment("k", 9_000_000))
        await bench.rate(*(call(n) for n in range(449)))
        await bench.rate(*(call(n, tenant="south.example") for n in range(1000, 1003)))
        yield bench


async def run(bench: Bench, *, full: bool = False) -> tuple[dict[str, Check], list[Sums]]:
    checks, sums = await verify(
        AuditStore(bench.pool), wait_s=0, on_progress=lambda *_: None, full=full
    )
    return {check.name: check for check in checks if check.name in LEDGER}, sums


async def found(bench: Bench, *, full: bool = False) -> dict[str, list[str]]:
    """The differences in the ledger, by invariant."""
    checks, _ = await run(bench, full=full)
    return {name: check.differences for name, check in checks.items() if check.found}


async def sealed(bench: Bench) -> list[tuple[str, int]]:
    rows = await bench.sql("select account_id, version from rating.checkpoint order by 1")
    return [tuple(row) for row in rows]


async def test_whole_slices_are_sealed_and_later_runs_have_the_same_sums(bench: Bench) -> None:
    whole = await run(bench, full=True)
    assert await sealed(bench) == []
    assert whole[0]["I8"].counted == "0 of 0 slices of 200 entries"
    first = await run(bench)
    assert await sealed(bench) == [("1001", 400)]
    second = await run(bench)
    assert whole[1] == first[1] == second[1]
    assert second[1][0].entries == 453
    for name in ("I1", "I2", "I4"):
        assert whole[0][name].counted == first[0][name].counted == second[0][name].counted
    assert second[0]["I8"].counted == "2 of 2 slices of 200 entries"
    assert await found(bench) == {}


async def test_re_rated_calls_and_new_entries_hold_behind_checkpoints(bench: Bench) -> None:
    await run(bench)
    await bench.publish_tariff(DEARER, version=2)
    applied, _ = await bench.rerating().apply(RerateOrder("north", 2, "2026-11-01", "2026-12-01"))
    assert await found(bench) == await found(bench, full=True) == {}
    assert await sealed(bench) == [("1001", 1200)]
    await bench.rerating().undo(applied.run_id)
    assert await found(bench) == await found(bench, full=True) == {}
    assert (await run(bench))[1] == (await run(bench, full=True))[1]


async def test_a_row_that_is_changed_or_removed_after_its_check_is_found(bench: Bench) -> None:
    await run(bench)
    await bench.sql("create table kept as select * from rating.ledger" + OF + "10")
    for damage in (
        "update rating.ledger set explanation = explanation || ' '" + OF + "10",
        "update rating.ledger set posted_at = posted_at - interval '1 s'" + OF + "10",
        "delete from rating.ledger" + OF + "10",
    ):
        await bench.sql(damage)
        for full in (False, False, True):
            (line,) = (await found(bench, full=full))["I8"]
            assert line.startswith("account 1001: entries 1 to 200 are not what they were on 20")
        await bench.sql("delete from rating.ledger" + OF + "10")
        await bench.sql("insert into rating.ledger select * from kept")
        assert await found(bench) == {}


async def test_sealed_entries_are_read_again_in_turn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_check, "READ_AGAIN", 1)
    await run(bench)
    await bench.sql("update rating.ledger set explanation = explanation || ' '" + OF + "210")
    runs = [await found(bench) for _ in range(3)]
    assert [len(each) for each in runs].count(1) >= 2, "found, and reported until it is repaired"
    assert await found(bench, full=True) == runs[-1]


DAMAGES = {
    "I1 balance": ("update rating.account set balance_micro = balance_micro + 1" + ACCOUNT, 1),
    "I1 version": ("update rating.account set version = version - 1" + ACCOUNT, 1),
    "I1 link": ("update rating.ledger set balance_after_micro = 7" + OF + "420", 1),
    "I2 cost": ("update rating.ledger set amount_micro = amount_micro - 5" + OF + "420", 1),
    "I2 reversal": (
        "update rating.ledger set kind = 'reversal', amount_micro = 10, reverses = ("
        "select entry_id from rating.ledger" + OF + "5)" + OF + "420",
        1,
    ),
    "I4 charge": (
        "update rating.ledger set cause_id = (select cause_id from rating.ledger" + OF + "5)"
        + OF + "420",
        1,
    ),
}  # fmt: skip


async def test_each_kind_of_damage_is_found_behind_checkpoints_and_never_sealed(
    bench: Bench,
) -> None:
    await run(bench)
    await bench.sql("create table ledger_before as select * from rating.ledger")
    await bench.sql("create table account_before as select * from rating.account")
    for name, (damage, differences) in DAMAGES.items():
        await bench.sql(damage)
        for full in (False, False, True):
            lines = (await found(bench, full=full)).get(name[:2], [])
            assert len(lines) == differences, (name, full, lines)
        await bench.sql("delete from rating.ledger")
        await bench.sql("insert into rating.ledger select * from ledger_before")
        await bench.sql(
            "update rating.account a set balance_micro = b.balance_micro, version = b.version"
            " from account_before b where b.account_id = a.account_id"
        )
    assert await found(bench) == {}


async def test_a_slice_in_which_something_differs_is_not_sealed(bench: Bench) -> None:
    await bench.sql("update rating.ledger set amount_micro = amount_micro - 5" + OF + "210")
    assert (await found(bench))["I2"] == (await found(bench))["I2"] != []
    assert await sealed(bench) == [("1001", 200)]


def auditing(bench: Bench) -> Audit:
    return Audit(
        store=AuditStore(bench.pool),
        every_s=300,
        progress=Progress("audit"),
        behind=lambda: False,
        lasting_s=0,
    )


async def test_the_audit_seals_within_its_budget_and_counts_differences(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "AUDIT_BUDGET", 0)
    await auditing(bench).audit_once()
    assert await sealed(bench) == []
    monkeypatch.setattr(loop, "AUDIT_BUDGET", 1)
    await auditing(bench).audit_once()
    assert await sealed(bench) == [("1001", 400)]
    second = UUID(int=1)
    await bench.sql(
        "insert into rating.ledger select account_id, 451, $1, kind, 0, balance_after_micro,"
        " (select cause_id from rating.ledger" + OF + "5), null, occurred_at, now(), input_hash,"
        " explanation from rating.ledger" + OF + "450",
        second,
    )
    await bench.sql("update rating.account set version = 451 where account_id = '1001'")
    await bench.sql("update rating.ledger set posted_at = now()" + OF + "5")
    counted = await auditing(bench).audit_once()
    assert counted is not None
    assert {name: counted[name] for name in LEDGER} == {"I1": 0, "I2": 0, "I4": 1, "I8": 1}
