"""Recomputes the invariants I1 to I4, I10 to I12 from the tables."""

import asyncio
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import NamedTuple

import orjson

from rating.anti_entropy.check import check_copies
from rating.audit.finding import Check, OnProgress
from rating.audit.holds import check_holds
from rating.audit.payments import check_payments
from rating.audit.store import AuditStore, ChargeRow
from rating.pricing.price import CallFees, PriceTerms, parse_increment

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
    store: AuditStore, *, wait_s: float, on_progress: OnProgress
) -> tuple[list[Check], list[Sums]]:
    """Run all checks. Data in flight between services gets `wait_s` seconds to arrive.

    Rating may go on in the same process: nothing here computes for longer than some milliseconds.
    """
    checks = []
    for name, check in (
        ("balances", _check_balances),
        ("costs", lambda s: _check_costs(s, on_progress)),
        ("calls", lambda s: _check_places(s, wait_s)),
        ("charges", _check_single),
        ("payments", lambda s: check_payments(s, wait_s)),
        ("funds holds", lambda s: check_holds(s, wait_s)),
        ("copies", lambda s: check_copies(s, wait_s)),
    ):
        on_progress(name, None, None)
        checks.append(await check(store))
    return checks, [Sums(*row) for row in await store.sums()]


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
        cost_micro = cost_of(row)
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


async def _charges(store: AuditStore) -> AsyncIterator[ChargeRow]:
    async for page in store.charges():
        for row in page:
            yield row


def cost_of(row: ChargeRow) -> int:
    """The cost that a charge's explanation results in, in micro-units."""
    details = orjson.loads(row.explanation)
    why = details["explanation"]
    fees = CallFees.of_explanation(why)
    terms = _terms(why["rate_per_min"], why["increment"], why["markup_percent"], fees)
    return terms.charge(details["billsec"], details["free_s"]).cost_micro


@lru_cache(maxsize=100_000)
def _terms(rate_per_min: str, increment: str, markup_percent: str, fees: CallFees) -> PriceTerms:
    initial_s, increment_s = parse_increment(increment)
    return PriceTerms.outbound(
        rate_per_min, initial_s, increment_s, markup_percent=markup_percent, fees=fees
    )


async def _check_places(store: AuditStore, wait_s: float) -> Check:
    check = Check("I3", "every accepted call is rated, not billed, unrated or dead: one of them")
    deadline = asyncio.get_running_loop().time() + wait_s
    rows = await store.drift("rating.drift_i3")
    while rows and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.5)
        rows = await store.drift("rating.drift_i3")
    check.counted = f"{await store.count('report.accepted_record')} records"
    for row in rows:
        found = "nowhere" if row["places"] == 0 else f"in {row['places']} places"
        check.differs(f"call {row['call_id']} of {row['server_id']}: found {found}")
    return check


async def _check_single(store: AuditStore) -> Check:
    check = Check("I4", "a call has at most one live charge")
    check.counted = f"{await store.count_charges()} charges"
    for row in await store.drift("rating.drift_i4"):
        check.differs(f"call {row['call_id']}: {row['live_charges']} live charges")
    return check
