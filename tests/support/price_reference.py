"""What a call costs, computed a second time: from docs/domain/billing.md, in exact fractions.

It shares no code with rating, so that a mistake in one of both is a difference. A price is written
as its rule reads, without regard to speed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

HUNDRED = Fraction(100)
Amounts = Mapping[str, str | None]
"""Connection fee, minimum and maximum cost by name; missing or None: not set."""

NOTHING_SET: Amounts = {}
TOLL_FREE = ("1800", "1833", "1844", "1855", "1866", "1877", "1888")


class ReferenceRow(NamedTuple):
    """A row of a rate card."""

    prefix: str
    rate: str
    initial_s: int
    increment_s: int
    status: int
    amounts: Amounts


class ReferenceBand(NamedTuple):
    """A time band: days from Monday 0, and minutes of the day; what is None is the package's."""

    days: Sequence[int]
    begins: int
    ends: int
    card: Sequence[ReferenceRow] | None
    markup: str | None


class ReferencePackage(NamedTuple):
    """A package, as far as prices depend on it. `None`: the field is blank."""

    markup: str
    custom_outbound: tuple[str, int, int] | None
    custom_inbound: tuple[str, int, int] | None
    amounts: Amounts
    of_dids: Mapping[str, tuple[str, int, int]]
    payphone_surcharge: str
    bundles: Mapping[str, Sequence[str]]
    prefixes_in: Sequence[str]
    prefixes_out: Sequence[str]
    bands: Sequence[ReferenceBand]


class ReferencePrice(NamedTuple):
    """Billed and free seconds, and the cost in micro-units."""

    billed_s: int
    free_s: int
    cost_micro: int


def outbound(
    package: ReferencePackage,
    card: Sequence[ReferenceRow],
    number: str,
    billsec: int,
    free_left_s: Mapping[str, int],
    *,
    national: bool,
    answered: datetime,
) -> ReferencePrice | None:
    """The price of an outbound call; None if nothing prices it.

    `free_left_s` has the free seconds that each bundle has left, the national one's by `""`;
    `answered` is what the account's clock showed.
    """
    percent = package.markup
    band = next((one for one in package.bands if in_band(one, answered)), None)
    if band is not None:
        card = card if band.card is None else band.card
        percent = percent if band.markup is None else band.markup
    matching = [row for row in card if number.startswith(row.prefix)]
    if not matching:
        return None
    row = max(matching, key=lambda one: len(one.prefix))
    if row.status == 0:
        if package.custom_outbound is None:
            return None
        rate, initial_s, increment_s = package.custom_outbound
        markup, own = HUNDRED, NOTHING_SET
    else:
        rate, initial_s, increment_s = row.rate, row.initial_s, row.increment_s
        markup, own = Fraction(percent), row.amounts
    is_free = Fraction(rate) == 0
    set_by_package = NOTHING_SET if is_free else package.amounts
    amounts = {
        name: Fraction(text) for name, text in set_by_package.items() if text is not None
    } | {name: Fraction(text) * markup / 100 for name, text in own.items() if text is not None}
    billed_s = billed(billsec, initial_s, increment_s)
    paid_by = bundle(package, number, national=national)
    free_s = 0 if paid_by is None or is_free else min(billed_s, free_left_s.get(paid_by, 0))
    return _price(billed_s, free_s, Fraction(rate) * markup / 100, amounts)


def in_band(band: ReferenceBand, answered: datetime) -> bool:
    """Whether a band has a local time: of its day, or of the night that began the day before."""
    minute, today = answered.hour * 60 + answered.minute, answered.weekday()
    if band.ends > band.begins:
        return today in band.days and band.begins <= minute < band.ends
    begun_today = today in band.days and minute >= band.begins
    begun_before = (today - 1) % 7 in band.days and minute < band.ends
    return begun_today or begun_before


def bundle(package: ReferencePackage, number: str, *, national: bool) -> str | None:
    """The bundle that pays for a number that is not premium; `""`: the national one."""
    groups = [
        (len(prefix), name)
        for name, prefixes in package.bundles.items()
        for prefix in prefixes
        if number.startswith(prefix)
    ]
    if groups:
        return max(groups)[1]
    taken_out = [len(prefix) for prefix in package.prefixes_out if number.startswith(prefix)]
    put_in = [len(prefix) for prefix in package.prefixes_in if number.startswith(prefix)]
    if taken_out and max(taken_out) >= max(put_in, default=0):
        return None
    return "" if national or put_in else None


def inbound(
    package: ReferencePackage, did: str, billsec: int, ani_ii: str
) -> ReferencePrice | None:
    """The price of an answered inbound call; None if nothing prices it."""
    is_toll_free = did[:4] in TOLL_FREE
    groups = [group for group in package.of_dids if did.startswith(group)]
    longest = max(groups, key=len, default="")
    if is_toll_free and len(longest) < 4 and "toll-free" in package.of_dids:
        longest = "toll-free"
    priced = package.of_dids.get(longest, package.custom_inbound)
    if priced is None:
        return None
    rate, initial_s, increment_s = priced
    amounts = {n: Fraction(text) for n, text in package.amounts.items() if text is not None}
    if is_toll_free and ani_ii in ("27", "29", "70"):
        surcharge = Fraction(package.payphone_surcharge)
        amounts["connection_fee"] = amounts.get("connection_fee", Fraction(0)) + surcharge
    return _price(billed(billsec, initial_s, increment_s), 0, Fraction(rate), amounts)


def billed(billsec: int, initial_s: int, increment_s: int) -> int:
    """Billed seconds: the initial block, then whole increments of what is beyond it."""
    if billsec == 0:
        return 0
    if billsec <= initial_s:
        return initial_s
    return initial_s + ceil(Fraction(billsec - initial_s, increment_s)) * increment_s


def _price(
    billed_s: int, free_s: int, per_minute: Fraction, amounts: Mapping[str, Fraction]
) -> ReferencePrice:
    paid_s = billed_s - free_s
    cost = Fraction(0)
    if paid_s > 0:
        cost = paid_s * per_minute / 60 + amounts.get("connection_fee", Fraction(0))
        cost = max(cost, amounts.get("minimum_cost", cost))
        cost = min(cost, amounts.get("maximum_cost", cost))
    return ReferencePrice(billed_s, free_s, floor(cost * 1_000_000 + Fraction(1, 2)))
