"""What a minute to a number costs a client, by its product's package and a row of the tariff. Pure.

The rules are those of rating (docs/domain/billing.md, section 4); a test compares the two. Free
minutes are not counted in: how many are left changes with each call.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from accounts.explanations.wording import decimal
from ringfence_contracts.events.account import Package, Service, TimeBand
from ringfence_contracts.money import parse_decimal

CUSTOM_RATE, TARIFF_RATE = 0, 1
FLAT_INCREMENT = "60/60"
_WORDS = {
    "connection_fee": "{} for the connection",
    "minimum_cost": "at least {}",
    "maximum_cost": "at most {}",
}


class Price(NamedTuple):
    """A price in the account's currency. `rate` None: there is none for this number."""

    destination: str
    rate: str | None
    increment: str
    per_call: tuple[str, ...] = ()


class PriceBasis(NamedTuple):
    """By which tariff and markup a product's calls are priced, in a time band or else."""

    band: str
    tariff_id: str
    markup_percent: str


def terms_of(package: Package) -> list[PriceBasis]:
    """The package's own terms, and those in each of its time bands."""
    own = PriceBasis("", package.tariff_id, package.markup_percent)
    return [own, *(_in_band(own, band) for band in package.time_bands)]


def _in_band(own: PriceBasis, band: TimeBand) -> PriceBasis:
    days = ", ".join(band.days)
    return PriceBasis(
        f"{days} {band.begins} to {band.ends}",
        band.tariff_id or own.tariff_id,
        own.markup_percent if band.markup_percent is None else band.markup_percent,
    )


def flat_price(service: Service, rate: str) -> Price:
    """The price of a product whose outbound calls all cost the same."""
    package = service.package
    return Price("", _shown(_number(rate)), FLAT_INCREMENT, _per_call(package, {}, "100"))


def price(package: Package, row: Mapping[str, Any] | None, markup_percent: str) -> Price:
    """The price by a row, as `GET /v1/tariffs/{tariff_id}/rate` has it; None: no row matches."""
    if row is None:
        return Price("", None, "")
    if row["status"] == CUSTOM_RATE:
        rate = package.custom_outbound_rate
        if rate is None:
            return Price(row["description"], None, "")
        fees = _per_call(package, {}, "100")
        increment = package.custom_outbound_increment
        return Price(row["description"], _shown(_number(rate)), increment, fees)
    if row["status"] != TARIFF_RATE:
        return Price(row["description"], None, "")
    before_markup = _number(row["rate"])
    marked_up = _shown(before_markup * _number(markup_percent) / 100)
    # A row at 0 costs no amount of the package: only those that it sets itself.
    fees = _per_call(package if before_markup else None, row, markup_percent)
    return Price(row["description"], marked_up, row["increment"], fees)


def _per_call(
    package: Package | None, row: Mapping[str, Any], markup_percent: str
) -> tuple[str, ...]:
    """The amounts of each call: the row's with the markup, else the package's."""
    found = []
    for name, words in _WORDS.items():
        if row.get(name) is not None:
            found.append(words.format(_shown(_number(row[name]) * _number(markup_percent) / 100)))
            continue
        amount = getattr(package, name, None)
        if amount not in (None, "0"):
            found.append(words.format(_shown(_number(amount))))
    return tuple(found)


def _number(text: str) -> Fraction:
    return Fraction(parse_decimal(text, "rate"))


def _shown(amount: Fraction) -> str:
    return decimal(amount)
