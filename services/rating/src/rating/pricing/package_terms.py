"""A package's number plan, filters and prices, computed once for all of its calls."""

from datetime import datetime
from functools import lru_cache

from rating.pricing.billing_period import zone_of
from rating.pricing.call_filter import CallFilter
from rating.pricing.free_bundles import FreeBundles
from rating.pricing.inbound_prices import inbound_prices
from rating.pricing.number import NumberPlan
from rating.pricing.price import NO_FEES, CallFees, Misconfigured, PriceTerms, parse_increment
from rating.pricing.tariff import CUSTOM_RATE, DeckRate
from rating.pricing.time_bands import TimeBands
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Package, TimeBand
from ringfence_contracts.events.tariff import NO_ROW_FEES, RowFees
from ringfence_contracts.money import parse_decimal

FLAT_INCREMENT = "60/60"
"""A flat rate is billed by the minute: the providers' files contain no increment."""


class PackageTerms:
    """The terms of a product's calls by its package.

    Never raises: an invalid value of a package becomes `Misconfigured` in its place, so that the
    calls that need it wait in the unrated queue and all others go on.

    `flat_rate` (Les.net's "Rate Per Minute") prices every outbound call of the product without a
    tariff, and inbound calls if the package bills them and has no inbound rate. A product without
    a package reads numbers by the defaults and bills no inbound call.

    `time_band` is the name of the band whose terms these are, empty for the package's own.
    """

    __slots__ = (
        "_bands",
        "_by_rate",
        "_in_bands",
        "_package",
        "did_prices",
        "filters",
        "flat",
        "free",
        "inbound",
        "inbound_enabled",
        "numbers",
        "tariff_id",
        "time_band",
    )

    def __init__(
        self, package: Package | None, flat_rate: str | None = None, time_band: str = ""
    ) -> None:
        self._package = package
        self.time_band = time_band
        bands = package.time_bands if package else ()
        self._bands = TimeBands(bands) if bands else None
        self._in_bands = [_terms_in(package, band, flat_rate) for band in bands if package]
        self._by_rate: dict[DeckRate, PriceTerms | Misconfigured] = {}
        self.tariff_id = package.tariff_id if package else None
        self.inbound_enabled = bool(package and package.inbound_enabled)
        self.free = FreeBundles(package)
        self.numbers = _number_plan(package)
        self.filters = _filters(package)
        self.flat = None if flat_rate is None else _flat_terms(package, flat_rate)
        self.inbound = _inbound_terms(package, flat_rate)
        self.did_prices = inbound_prices(package, self.inbound)

    def at(self, answered: datetime, zone: str) -> "PackageTerms":
        """The terms of an outbound call answered then, for an account in that zone."""
        if self._bands is None:
            return self
        place = self._bands.place(answered.astimezone(zone_of(zone)))
        return self if place is None else self._in_bands[place]

    def at_any_time(self) -> list["PackageTerms"]:
        """These terms and those in each time band."""
        return [self, *self._in_bands]

    def outbound(self, rate: DeckRate) -> PriceTerms | Misconfigured:
        """The price of a tariff row under this package."""
        known = self._by_rate.get(rate)
        if known is None:
            known = self._by_rate[rate] = self._outbound_terms(rate)
        return known

    def _outbound_terms(self, rate: DeckRate) -> PriceTerms | Misconfigured:
        package = self._package
        if package is None:
            return Misconfigured("the product has no package")
        try:
            if rate.status == CUSTOM_RATE:
                return _custom_outbound(package)
            return _row_terms(
                package,
                rate.rate_per_min,
                (rate.initial_s, rate.increment_s),
                package.markup_percent,
                rate.fees,
            )
        except BadInput as refusal:
            return Misconfigured(f"the package cannot price this row: {refusal}")


@lru_cache(maxsize=4096)
def package_terms(package: Package | None, flat_rate: str | None = None) -> PackageTerms:
    """The terms of a package; products with equal packages share one object."""
    return PackageTerms(package, flat_rate)


def _terms_in(package: Package, band: TimeBand, flat_rate: str | None) -> PackageTerms:
    """A package's terms in a time band, which replaces some of its fields."""
    own = {"tariff_id": band.tariff_id, "markup_percent": band.markup_percent}
    replaced = {name: value for name, value in own.items() if value is not None}
    of_band = package.model_copy(update={**replaced, "time_bands": ()})
    return PackageTerms(of_band, flat_rate, band.name)


def _number_plan(package: Package | None) -> NumberPlan:
    if package is None:
        return NumberPlan()
    return NumberPlan(
        country_code=package.country_code,
        exit_code=package.exit_code,
        strip_prefix=package.strip_prefix,
        prepend=package.prepend,
        nanpa_10_digit=package.nanpa_10_digit,
    )


def _filters(package: Package | None) -> CallFilter | Misconfigured:
    if package is None:
        return CallFilter()
    try:
        return CallFilter(package.hide, package.not_billed)
    except BadInput as refusal:
        return Misconfigured(f"the package's filters cannot be used: {refusal}")


def _custom_outbound(package: Package) -> PriceTerms | Misconfigured:
    if package.custom_outbound_rate is None:
        return Misconfigured(
            "the row asks for the package's custom outbound rate, which is not set"
        )
    increments = parse_increment(package.custom_outbound_increment, "custom_outbound_increment")
    return _row_terms(package, package.custom_outbound_rate, increments, "100")


def _row_terms(
    package: Package,
    rate_per_min: str,
    increments: tuple[int, int],
    markup_percent: str,
    row_fees: RowFees = NO_ROW_FEES,
) -> PriceTerms:
    """The price by a tariff row.

    A row at 0 uses no free seconds, and costs no amount of the package: only those that it sets
    itself.
    """
    costs_nothing = parse_decimal(rate_per_min, "rate_per_min") == 0
    fees = NO_FEES if costs_nothing else CallFees.of_package(package)
    return PriceTerms.outbound(
        rate_per_min,
        *increments,
        markup_percent=markup_percent,
        fees=fees.with_row(row_fees, markup_percent),
        takes_free_seconds=not costs_nothing,
    )


def _flat_terms(package: Package | None, flat_rate: str) -> PriceTerms | Misconfigured:
    try:
        return PriceTerms.outbound(
            flat_rate,
            *parse_increment(FLAT_INCREMENT),
            fees=CallFees.of_package(package) if package else NO_FEES,
        )
    except BadInput as refusal:
        return Misconfigured(f"the product's flat rate cannot be used: {refusal}")


def _inbound_terms(package: Package | None, flat_rate: str | None) -> PriceTerms | Misconfigured:
    if package is None:
        return Misconfigured("the product has no package")
    rate, increment = package.custom_inbound_rate, package.custom_inbound_increment
    if rate is None:
        rate, increment = flat_rate, FLAT_INCREMENT
    if rate is None:
        return Misconfigured("inbound calls are billed, but the package has no custom inbound rate")
    try:
        initial_s, increment_s = parse_increment(increment, "custom_inbound_increment")
        return PriceTerms.inbound(rate, initial_s, increment_s, fees=CallFees.of_package(package))
    except BadInput as refusal:
        return Misconfigured(f"the package's inbound rate cannot be used: {refusal}")
