"""Recomputes the invariants I1 to I4, I8, I10 to I12 from the tables."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from rating.anti_entropy.check import check_copies
from rating.audit.checkpoints.costs import cost_of
from rating.audit.checkpoints.ledger_check import LedgerCheck, LedgerFindings, check_unchanged
from rating.audit.checkpoints.place_check import PlaceCheck, differ, new_place_check
from rating.audit.checkpoints.store import CheckpointStore
from rating.audit.checkpoints.store_places import AcceptedCall, PlacesStore
from rating.audit.finding import Check, OnProgress
from rating.audit.holds import check_holds
from rating.audit.payments import check_payments
from rating.audit.store import AuditStore, ChargeRow

_COMPUTED_AT_ONCE = 200
"""Charges that are computed again before other work of the process has its turn."""


class Sums(NamedTuple):
    """The ledger's sums of one currency, in micro-units."""

    currency: str
    accounts: int
    entries: int
    charges_micro: int
    paid_micro: int
    balance_micro: int


async def verify(
    store: AuditStore, *, wait_s: float, on_progress: OnProgress, full: bool = False
) -> tuple[list[Check], list[Sums]]:
    """Run all checks. Data in flight between services gets `wait_s` seconds to arrive.

    The ledger is read from its checkpoints on, with `full` from its beginning. Rating may go on in
    the same process: nothing here computes for longer than some milliseconds.
    """
    checkpoints = CheckpointStore(store.pool)
    if full:
        balances, costs, single, sums = await _check_all(store, on_progress)
    else:
        ledger = await LedgerCheck(checkpoints, on_progress=on_progress).run()
        balances, costs, single = ledger.balances, ledger.costs, ledger.single
        sums = _sums_of(ledger)
    await _check_legs(store, single)
    on_progress("calls", None, None)
    if full:
        places = await _check_places(store, wait_s)
    else:
        places = await PlaceCheck(
            PlacesStore(store.pool), wait_s=wait_s, on_progress=on_progress
        ).run()
    checks = [balances, costs, places, single]
    checks.append(await check_unchanged(checkpoints, on_progress=on_progress, full=full))
    for name, check in (
        ("payments", check_payments),
        ("funds holds", check_holds),
        ("copies", check_copies),
    ):
        on_progress(name, None, None)
        checks.append(await check(store, wait_s))
    return checks, sums


async def _check_all(
    store: AuditStore, on_progress: OnProgress
) -> tuple[Check, Check, Check, list[Sums]]:
    """I1, I2 and I4 and the sums by the whole ledger, without checkpoints."""
    on_progress("balances", None, None)
    balances = await _check_balances(store)
    costs = await _check_costs(store, on_progress)
    on_progress("charges", None, None)
    return balances, costs, await _check_single(store), [Sums(*r) for r in await store.sums()]


def _sums_of(ledger: LedgerFindings) -> list[Sums]:
    by_currency: dict[str, Sums] = {}
    for account in sorted(ledger.accounts, key=lambda each: each.currency):
        before = by_currency.get(account.currency, Sums(account.currency, 0, 0, 0, 0, 0))
        sums = account.sums
        by_currency[account.currency] = Sums(
            account.currency,
            before.accounts + 1,
            before.entries + sums.entries,
            before.charges_micro + sums.charged_micro - sums.reversed_micro,
            before.paid_micro + sums.paid_micro,
            before.balance_micro + sums.total_micro,
        )
    return list(by_currency.values())


async def _check_balances(store: AuditStore) -> Check:
    check = Check("I1", "the sum of an account's entries is its balance")
    check.counted = f"{await store.count('rating.account')} accounts"
    for row in await store.drift("rating.drift_i1"):
        check.differs(
            f"account {row['account_id']}: balance {row['balance_micro']}, entries sum to"
            f" {int(row['ledger_micro'])}; version {row['version']}, {row['entries']} entries,"
            f" {row['broken_links']} that do not follow from the one before"
        )
    return check


async def _check_costs(store: AuditStore, on_progress: OnProgress) -> Check:
    """Compute each charge again from its explanation, and compare the sums."""
    check = Check("I2", "the sum of charges is the sum of rated calls' costs")
    charged = recomputed = count = 0
    total = await store.count_charges()
    async for row in _charges(store):
        if count % _COMPUTED_AT_ONCE == 0:
            on_progress("costs", count, max(count, total))
            await asyncio.sleep(0)
        cost_micro = cost_of(row.explanation)
        count += 1
        charged -= row.amount_micro
        recomputed += cost_micro
        if cost_micro != -row.amount_micro:
            check.differs(
                f"call {row.call_id}: charged {-row.amount_micro}, its explanation comes to"
                f" {cost_micro}"
            )
    for drift in await store.drift("rating.drift_i2"):
        check.differs(
            f"reversal {drift['entry_id']} of account {drift['account_id']}: it gives back"
            f" {drift['amount_micro']} of {drift['reversed_micro']}, or is not the only one"
        )
    check.counted = f"{count} charges, {charged} = {recomputed} micro-units"
    return check


async def _check_legs(store: AuditStore, single: Check) -> None:
    """I4, for legs: one live charge for what a carrier carried, or two that share its talk."""
    for row in await store.drift("rating.drift_i4_legs"):
        single.differs(
            f"leg {row['call_id']} of call {row['originating_call_id']}: {row['own_s']} s of"
            f" {row['talk_s']} s are charged, and {row['origin_s'] or 0} s of the call"
        )


async def _charges(store: AuditStore) -> AsyncIterator[ChargeRow]:
    async for page in store.charges():
        for row in page:
            yield row


async def _check_places(store: AuditStore, wait_s: float) -> Check:
    """I3 by all accepted calls, without its checkpoint."""
    check = new_place_check()
    deadline = asyncio.get_running_loop().time() + wait_s
    rows = await store.drift("rating.drift_i3")
    while rows and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.5)
        rows = await store.drift("rating.drift_i3")
    check.counted = f"{await store.count('report.accepted_record')} records"
    for row in rows:
        call = AcceptedCall(row["call_id"], row["server_id"], row["accepted_at"])
        differ(check, call, row["places"])
    return check


async def _check_single(store: AuditStore) -> Check:
    check = Check("I4", "a call has at most one live charge")
    check.counted = f"{await store.count_charges()} charges"
    for row in await store.drift("rating.drift_i4"):
        check.differs(f"call {row['call_id']}: {row['live_charges']} live charges")
    return check
