"""What a call costs: billed seconds, the free part of them, and one rounding at the end.

The rules are in domain/billing, section 4. What does not depend on the call (the rate with its
markup, the increments, the fee) is computed once into `PriceTerms`. Pricing a call then takes a few
integer operations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd
from typing import NamedTuple

import orjson

from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Package
from ringfence_contracts.money import MICRO, parse_decimal, round_half_up

MAX_INCREMENT_S = 86_400
"""A billing increment of more than a day is a mistake."""

MAX_RATE_PER_MIN = 1_000_000
"""The highest rate accepted, markup included: any call's cost fits a BIGINT."""

MAX_FEE = 1_000_000
"""The largest connection fee accepted, in the currency's units."""

ROUNDING = "once per call, half up, to 0.000001"
"""The rounding rule, as explanations contain it."""


class Charge(NamedTuple):
    """A call's price; `free_s` of the `billed_s` seconds are free."""

    billed_s: int
    free_s: int
    cost_micro: int


class CallFees(NamedTuple):
    """The amounts of a package that apply once to a call, whatever its rate: decimals as text.

    Package and explanation have a field of the same name for each.
    """

    connection_fee: str = "0"

    @classmethod
    def of_package(cls, package: Package) -> "CallFees":
        """The fees that a package sets."""
        return cls(package.connection_fee)

    @classmethod
    def of_explanation(cls, explanation: Mapping[str, str]) -> "CallFees":
        """The fees by which a charge was computed."""
        return cls(explanation["connection_fee"])


NO_FEES = CallFees()


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """A price that can be applied to calls; made by `outbound` or `inbound`.

    Texts are kept as they were given, for explanations; `json_members` are all of them as members
    of a JSON object, without its brackets. The cost of `n` paid seconds, in micro-units, is
    `(n * per_second + fee) / divisor`, exact before its rounding.
    """

    rate_per_min: str
    markup_percent: str
    initial_s: int
    increment_s: int
    fees: CallFees
    takes_free_seconds: bool
    per_second: int = field(repr=False)
    fee: int = field(repr=False)
    divisor: int = field(repr=False)
    json_members: str = field(repr=False)

    @classmethod
    def outbound(
        cls,
        rate_per_min: str,
        initial_s: int,
        increment_s: int,
        *,
        markup_percent: str = "100",
        fees: CallFees = NO_FEES,
        takes_free_seconds: bool = True,
    ) -> "PriceTerms":
        """The price of outbound calls; `markup_percent` 120 adds 20 %. Raises BadInput."""
        check_increments(initial_s, increment_s)
        dividend, divisor = _marked_up(rate_per_min, markup_percent)
        fee = _price(fees.connection_fee, "connection_fee", MAX_FEE)
        # dividend / divisor is the rate of a minute. The fee gets the same divisor.
        per_second = dividend * fee.denominator * MICRO
        fee_micro = fee.numerator * divisor * 60 * MICRO
        divisor *= 60 * fee.denominator
        shared = gcd(per_second, fee_micro, divisor)
        return cls(
            rate_per_min=rate_per_min,
            markup_percent=markup_percent,
            initial_s=initial_s,
            increment_s=increment_s,
            fees=fees,
            takes_free_seconds=takes_free_seconds,
            per_second=per_second // shared,
            fee=fee_micro // shared,
            divisor=divisor // shared,
            json_members=_json_members(rate_per_min, markup_percent, initial_s, increment_s, fees),
        )

    @classmethod
    def inbound(
        cls, rate_per_min: str, initial_s: int, increment_s: int, *, fees: CallFees = NO_FEES
    ) -> "PriceTerms":
        """The price of inbound calls: without markup and free seconds. Raises BadInput."""
        return cls.outbound(
            rate_per_min, initial_s, increment_s, fees=fees, takes_free_seconds=False
        )

    def billed_seconds(self, billsec: int) -> int:
        """Billed seconds for `billsec` seconds of talk.

        The initial block is not a multiple of the increment: only what comes after it is rounded
        up to whole increments.
        """
        if billsec <= 0:
            return 0
        beyond_s = billsec - self.initial_s
        if beyond_s <= 0:
            return self.initial_s
        return self.initial_s - (-beyond_s // self.increment_s) * self.increment_s

    def charge(self, billsec: int, free_seconds_left: int = 0) -> Charge:
        """Price a call; seconds beyond the free ones are paid.

        The connection fee is due if any second is paid, and is included before the one rounding.
        """
        billed_s = self.billed_seconds(billsec)
        free_s = 0
        if self.takes_free_seconds and free_seconds_left > 0:
            free_s = min(billed_s, free_seconds_left)
        paid_s = billed_s - free_s
        if not paid_s:
            return Charge(billed_s, free_s, 0)
        cost_micro = round_half_up(paid_s * self.per_second + self.fee, self.divisor)
        return Charge(billed_s, free_s, cost_micro)


def parse_increment(text: str, field_name: str = "increment") -> tuple[int, int]:
    """Read `6` as (6, 6) and `30/6` as (30, 6): initial and further increment in seconds.

    Raises BadInput for anything else, zero and more than a day included.
    """
    initial, slash, further = (part.strip() for part in text.partition("/"))
    parts = (initial, further if slash else initial)
    if not all(part.isascii() and part.isdigit() and len(part) <= 6 for part in parts):
        raise BadInput(field_name, text, "whole seconds such as 60, or initial/further as 30/6")
    initial_s, increment_s = int(parts[0]), int(parts[1])
    check_increments(initial_s, increment_s)
    return initial_s, increment_s


def check_increments(initial_s: int, increment_s: int) -> None:
    """Raise BadInput for increments under a second or over a day."""
    for name, seconds in (("initial_s", initial_s), ("increment_s", increment_s)):
        if not 1 <= seconds <= MAX_INCREMENT_S:
            raise BadInput(name, seconds, f"1 to {MAX_INCREMENT_S} seconds")


def _json_members(rate: str, markup: str, initial_s: int, increment_s: int, fees: CallFees) -> str:
    """A price in an explanation: members of a JSON object, without its brackets."""
    members = {
        "rate_per_min": rate,
        "markup_percent": markup,
        "increment": f"{initial_s}/{increment_s}",
        **fees._asdict(),
        "rounding": ROUNDING,
    }
    return orjson.dumps(members)[1:-1].decode()


def _marked_up(rate_per_min: str, markup_percent: str) -> tuple[int, int]:
    """The rate per minute with its markup, as dividend and divisor."""
    rate = _price(rate_per_min, "rate_per_min", MAX_RATE_PER_MIN)
    markup = _price(markup_percent, "markup_percent", None)
    dividend = rate.numerator * markup.numerator
    divisor = rate.denominator * markup.denominator * 100
    if dividend > MAX_RATE_PER_MIN * divisor:
        expected = f"a rate of at most {MAX_RATE_PER_MIN} a minute with its markup"
        raise BadInput("markup_percent", markup_percent, expected)
    return dividend, divisor


def _price(text: str, name: str, limit: int | None) -> Fraction:
    exact = parse_decimal(text, name)
    if exact < 0 or (limit is not None and exact > limit):
        at_most = "" if limit is None else f", at most {limit}"
        raise BadInput(name, text, f"a decimal number, not negative{at_most}")
    return exact
