"""Computes the cost of a charge again from its explanation."""

from functools import lru_cache

import orjson

from rating.pricing.price import CallFees, PriceTerms, parse_increment


def cost_of(explanation: str) -> int:
    """The cost that a charge's explanation results in, in micro-units."""
    details = orjson.loads(explanation)
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
