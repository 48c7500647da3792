"""What a call costs: billed seconds, the free part of them, and one rounding at the end.

The rules are in domain/billing, section 4. What does not depend on the call (the rate with its
markup, the increments, the fee) is computed once into `PriceTerms`. Pricing a call then takes a few
integer operations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd
from typing import Any, NamedTuple

import orjson

from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Package
from ringfence_contracts.events.tariff import RowFees
from ringfence_contracts.money import MICRO, parse_decimal, round_half_up

MAX_INCREMENT_S = 86_400
"""A billing increment of more than a day is a mistake."""

MAX_RATE_PER_MIN = 1_000_000
"""The highest rate accepted, markup included: any call's cost fits a BIGINT."""

MAX_FEE = 1_000_000
"""The largest amount for a call that is accepted, in the currency's units."""

MAX_MICRO_OF_A_CALL = 2**62
"""Above any cost: a call without a maximum."""

ROUNDING = "once per call, half up, to 0.000001"
"""The rounding rule, as explanations contain it."""


class Charge(NamedTuple):
    """A call's price; `free_s` of the `billed_s` seconds are free."""

    billed_s: int
    free_s: int
    cost_micro: int


class Misconfigured(NamedTuple):
    """Why there is no price; `detail` names the setting that the operator must correct."""

    detail: str


class CallFees(NamedTuple):
    """The amounts that apply once to a call, whatever its length: decimals as text.

    A call that is paid for costs at least `minimum_cost`, and at most `maximum_cost`, if there is
    one. If a row's minimum is above its package's maximum, the maximum counts. `of_row` names the
    amounts that the tariff's row sets instead of the package; these include the markup.

    An explanation has a field of the same name for each; those of its defaults are left out of it,
    except the connection fee.
    """

    connection_fee: str = "0"
    minimum_cost: str = "0"
    maximum_cost: str | None = None
    of_row: tuple[str, ...] = ()
    payphone_surcharge: str = "0"

    @classmethod
    def of_package(cls, package: Package, *, payphone: bool = False) -> "CallFees":
        """The amounts that a package sets, the surcharge only for a call from a payphone."""
        return cls(
            package.connection_fee,
            package.minimum_cost,
            package.maximum_cost,
            payphone_surcharge=package.payphone_surcharge if payphone else "0",
        )

    @classmethod
    def of_explanation(cls, explanation: Mapping[str, Any]) -> "CallFees":
        """The amounts by which a charge was computed."""
        return cls(
            explanation["connection_fee"],
            explanation.get("minimum_cost", "0"),
            explanation.get("maximum_cost"),
            tuple(explanation.get("of_row", ())),
            explanation.get("payphone_surcharge", "0"),
        )

    def with_row(self, row: RowFees, markup_percent: str) -> "CallFees":
        """These amounts, with those that a row sets in their place, multiplied by the markup.

        Raises BadInput.
        """
        names = tuple(name for name, text in row._asdict().items() if text is not None)
        marked_up = {
            name: _multiplied(text, markup_percent, name)
            for name, text in row._asdict().items()
            if text is not None
        }
        return self._replace(**marked_up, of_row=names) if names else self

    def of_their_package(self) -> dict[str, str | None]:
        """The amounts that the package set, by its fields: without those of a row."""
        amounts: dict[str, str | None] = {
            "connection_fee": self.connection_fee,
            "minimum_cost": self.minimum_cost,
            "maximum_cost": self.maximum_cost,
        }
        return {name: text for name, text in amounts.items() if name not in self.of_row}

    def members(self) -> dict[str, Any]:
        """The amounts as members of an explanation."""
        further = {
            "minimum_cost": self.minimum_cost,
            "maximum_cost": self.maximum_cost,
            "payphone_surcharge": self.payphone_surcharge,
        }
        return {
            "connection_fee": self.connection_fee,
            **{name: text for name, text in further.items() if text not in ("0", None)},
            **({"of_row": self.of_row} if self.of_row else {}),
        }


NO_FEES = CallFees()


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """A price that can be applied to calls; made by `outbound` or `inbound`.

    Texts are kept as they were given, for explanations; `json_members` are all of them as members
    of a JSON object, without its brackets. The cost of `n` paid seconds, in micro-units, is
    `(n * per_second + fee) / divisor`, exact before its rounding. It is then at least `least_micro`
    and at most `most_micro`, if `has_limits`. Their rounding before is the rounding after: half up
    keeps the order of numbers.
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
    has_limits: bool = field(repr=False)
    least_micro: int = field(repr=False)
    most_micro: int = field(repr=False)

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
        fee += _price(fees.payphone_surcharge, "payphone_surcharge", MAX_FEE)
        # dividend / divisor is the rate of a minute. The fee gets the same divisor.
        per_second = dividend * fee.denominator * MICRO
        fee_micro = fee.numerator * divisor * 60 * MICRO
        divisor *= 60 * fee.denominator
        shared = gcd(per_second, fee_micro, divisor)
        least_micro, most_micro = _limits(fees)
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
            has_limits=least_micro > 0 or fees.maximum_cost is not None,
            least_micro=least_micro,
            most_micro=most_micro,
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

        Connection fee and surcharge are due if any second is paid, and are included before the one
        rounding. The minimum and the maximum cost apply to the sum of both.
        """
        billed_s = self.billed_seconds(billsec)
        free_s = 0
        if self.takes_free_seconds and free_seconds_left > 0:
            free_s = min(billed_s, free_seconds_left)
        paid_s = billed_s - free_s
        if not paid_s:
            return Charge(billed_s, free_s, 0)
        cost_micro = round_half_up(paid_s * self.per_second + self.fee, self.divisor)
        if self.has_limits:
            cost_micro = min(max(cost_micro, self.least_micro), self.most_micro)
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
        **fees.members(),
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


def _limits(fees: CallFees) -> tuple[int, int]:
    """The minimum and the maximum cost of a call, rounded to micro-units."""
    least = _price(fees.minimum_cost, "minimum_cost", MAX_FEE) * MICRO
    least_micro = round_half_up(least.numerator, least.denominator)
    if fees.maximum_cost is None:
        return least_micro, MAX_MICRO_OF_A_CALL
    most = _price(fees.maximum_cost, "maximum_cost", MAX_FEE) * MICRO
    return least_micro, round_half_up(most.numerator, most.denominator)


def _multiplied(text: str, markup_percent: str, name: str) -> str:
    """An amount with its markup, exact, as a decimal text."""
    amount = _price(text, name, MAX_FEE)
    exact = amount * _price(markup_percent, "markup_percent", None) / 100
    if exact > MAX_FEE:
        raise BadInput(name, text, f"at most {MAX_FEE} with the markup")
    return decimal_text(exact)


def decimal_text(exact: Fraction) -> str:
    """A fraction that has finitely many decimals, as decimal text without trailing zeros."""
    places, scaled = 0, exact
    while scaled.denominator != 1:
        places, scaled = places + 1, scaled * 10
    digits = f"{scaled.numerator:0{places + 1}d}"
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


def _price(text: str, name: str, limit: int | None) -> Fraction:
    exact = parse_decimal(text, name)
    if exact < 0 or (limit is not None and exact > limit):
        at_most = "" if limit is None else f", at most {limit}"
        raise BadInput(name, text, f"a decimal number, not negative{at_most}")
    return exact
