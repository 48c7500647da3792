"""A package's prices of inbound calls by DID, and the surcharge for calls from payphones. Pure.

A row names a DID, or the first digits of a group of DIDs, with country code: the longest wins. The
row `toll-free` is that of all toll-free DIDs of North America which no other row names with at
least their area code. Other DIDs have the package's one inbound rate.

A toll-free DID's owner pays a surcharge for a call from a payphone. FreeSWITCH knows one by the
ANI II digits, by which the North American network says where a call comes from.
"""

from typing import NamedTuple

from rating.pricing.call_filter import TOLL_FREE_CODES, is_toll_free
from rating.pricing.number import DialledNumber
from rating.pricing.price import CallFees, Misconfigured, PriceTerms, parse_increment
from rating.pricing.tariff import TARIFF_RATE, DeckRate, PrefixMatch
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import TOLL_FREE_DIDS, InboundRate, Package
from ringfence_contracts.money import parse_decimal

PAYPHONES = frozenset(["27", "29", "70"])
"""ANI II digits: a payphone with coins, one of a prison, a private payphone."""


class InboundPrice(NamedTuple):
    """The price of an inbound call, and the package's row that sets it; None: no row does."""

    terms: PriceTerms | Misconfigured
    row: PrefixMatch | None
    is_from_payphone: bool


class InboundPrices:
    """The prices of a package with rows for DIDs, or with a surcharge; `other` is for all others.

    Never raises: an invalid row becomes `Misconfigured` in its place.
    """

    __slots__ = ("_fees", "_lengths", "_other", "_priced", "_rows")

    def __init__(self, package: Package, other: PriceTerms | Misconfigured) -> None:
        self._other = other
        self._fees = CallFees.of_package(package), CallFees.of_package(package, payphone=True)
        self._rows: dict[str, InboundRate] = {}
        for row in package.inbound_rates:
            if row.dids == TOLL_FREE_DIDS:
                for code in TOLL_FREE_CODES:
                    self._rows.setdefault(f"1{code}", row)
        self._rows |= {row.dids: row for row in package.inbound_rates if row.dids.isdigit()}
        self._lengths = sorted({len(prefix) for prefix in self._rows}, reverse=True)
        self._priced: dict[tuple[str, bool], InboundPrice] = {}

    def of(self, number: DialledNumber, ani_ii: str) -> InboundPrice:
        """The price of a call to this DID from a telephone with these ANI II digits."""
        is_from_payphone = ani_ii in PAYPHONES and is_toll_free(number)
        prefix = self._longest_prefix(number.digits) if number.kind == "e164" else ""
        known = self._priced.get((prefix, is_from_payphone))
        if known is None:
            known = self._price(prefix, is_from_payphone)
            self._priced[prefix, is_from_payphone] = known
        return known

    def _longest_prefix(self, digits: str) -> str:
        for length in self._lengths:
            if digits[:length] in self._rows:
                return digits[:length]
        return ""

    def _price(self, prefix: str, is_from_payphone: bool) -> InboundPrice:
        row = self._rows.get(prefix)
        fees = self._fees[is_from_payphone]
        charged = is_from_payphone and parse_decimal(fees.payphone_surcharge, "surcharge") > 0
        try:
            if row is not None:
                terms, found = _row_terms(prefix, row, fees)
                return InboundPrice(terms, found, charged)
            other = self._other
            if isinstance(other, PriceTerms) and charged:
                increments = other.initial_s, other.increment_s
                other = PriceTerms.inbound(other.rate_per_min, *increments, fees=fees)
            return InboundPrice(other, None, charged)
        except BadInput as refusal:
            detail = f"the package's inbound rate of {prefix or 'other DIDs'} cannot be used"
            return InboundPrice(Misconfigured(f"{detail}: {refusal}"), None, False)


def inbound_prices(
    package: Package | None, other: PriceTerms | Misconfigured
) -> InboundPrices | None:
    """The prices by DID of a package; None if `other` is the price of all inbound calls."""
    if package is None or not (package.inbound_rates or package.payphone_surcharge != "0"):
        return None
    return InboundPrices(package, other)


def _row_terms(prefix: str, row: InboundRate, fees: CallFees) -> tuple[PriceTerms, PrefixMatch]:
    initial_s, increment_s = parse_increment(row.increment, "increment")
    terms = PriceTerms.inbound(row.rate, initial_s, increment_s, fees=fees)
    is_zero = parse_decimal(row.rate, "rate") == 0
    rate = DeckRate(row.rate, initial_s, increment_s, TARIFF_RATE, is_zero)
    return terms, PrefixMatch(prefix, row.description or row.dids, rate)
