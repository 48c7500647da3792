"""What a call costs: the published cases, and properties of every call."""

import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.pricing.price import MAX_RATE_PER_MIN, CallFees, PriceTerms, parse_increment
from rating.vector_cases import COLUMNS, PriceCase
from ringfence.vectors import read_cases
from ringfence_contracts.errors import BadInput

VECTORS = Path(__file__).parents[2] / "vectors" / "rating.csv"
CASES = read_cases(VECTORS, COLUMNS, PriceCase.read)

SECONDS = st.integers(0, 7 * 86_400)
INCREMENTS = st.integers(1, 3_600)


def decimals(at_most: int, places: int) -> st.SearchStrategy[str]:
    """Decimal numbers as text, as a tariff or a package holds them."""
    exact = st.decimals(0, at_most, places=places, allow_nan=False)
    return exact.map("{:f}".format)


RATES = decimals(10_000, places=6)
MARKUPS = decimals(1_000, places=2)
FEES = st.builds(
    CallFees,
    decimals(100, places=9),
    decimals(2, places=7),
    st.none() | decimals(200, places=7),
    st.just(()),
    st.just("0") | decimals(2, places=7),
)
OUTBOUND = st.builds(
    PriceTerms.outbound, RATES, INCREMENTS, INCREMENTS, markup_percent=MARKUPS, fees=FEES
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_published_case(case: PriceCase) -> None:
    assert case.terms.charge(case.billsec, case.free_seconds_left) == case.expected


@given(OUTBOUND, SECONDS)
def test_a_billed_time_covers_the_call_in_whole_increments(terms: PriceTerms, billsec: int) -> None:
    billed_s = terms.billed_seconds(billsec)
    if billsec == 0:
        assert billed_s == 0
        return
    assert billed_s >= billsec
    assert (billed_s - terms.initial_s) % terms.increment_s == 0
    assert billed_s == terms.initial_s or billed_s - terms.increment_s < billsec


@given(OUTBOUND, SECONDS, SECONDS)
def test_a_cost_is_the_exact_one_rounded_once(
    terms: PriceTerms, billsec: int, free_left: int
) -> None:
    billed_s, free_s, cost_micro = terms.charge(billsec, free_left)
    paid_s = billed_s - free_s
    rate, markup = Fraction(terms.rate_per_min), Fraction(terms.markup_percent)
    exact = Fraction(0)
    if paid_s:
        exact = paid_s * rate * markup / 100 / 60 + Fraction(terms.fees.connection_fee)
        exact += Fraction(terms.fees.payphone_surcharge)
        exact = max(exact, Fraction(terms.fees.minimum_cost))
        if terms.fees.maximum_cost is not None:
            exact = min(exact, Fraction(terms.fees.maximum_cost))
    assert -Fraction(1, 2) < cost_micro - exact * 10**6 <= Fraction(1, 2)
    assert cost_micro >= 0


@given(OUTBOUND, SECONDS, SECONDS)
def test_a_longer_call_never_costs_less(terms: PriceTerms, billsec: int, further_s: int) -> None:
    shorter, longer = terms.charge(billsec), terms.charge(billsec + further_s)
    assert longer.cost_micro >= shorter.cost_micro
    assert longer.billed_s >= shorter.billed_s


@given(OUTBOUND, SECONDS, SECONDS)
def test_free_seconds_are_split_exactly(terms: PriceTerms, billsec: int, free_left: int) -> None:
    charge = terms.charge(billsec, free_left)
    assert charge.free_s == min(charge.billed_s, free_left)
    assert charge.billed_s == terms.charge(billsec).billed_s
    assert charge.cost_micro <= terms.charge(billsec).cost_micro


@given(RATES, INCREMENTS, INCREMENTS, FEES, SECONDS, SECONDS)
def test_inbound_calls_use_no_free_seconds(
    rate: str, initial_s: int, increment_s: int, fees: CallFees, billsec: int, free_left: int
) -> None:
    terms = PriceTerms.inbound(rate, initial_s, increment_s, fees=fees)
    assert terms.charge(billsec, free_left) == terms.charge(billsec, 0)
    assert terms.charge(billsec, free_left).free_s == 0


@given(st.lists(st.tuples(OUTBOUND, SECONDS), max_size=12), SECONDS, st.randoms())
def test_the_order_of_calls_does_not_change_their_sum(
    calls: list[tuple[PriceTerms, int]], granted_s: int, shuffle: random.Random
) -> None:
    """Sums of costs are the same in any order; of free seconds as many are used."""
    shuffled = shuffle.sample(calls, len(calls))
    assert _sum_of_costs(calls) == _sum_of_costs(shuffled)
    assert _free_used(calls, granted_s) == _free_used(shuffled, granted_s)


def _sum_of_costs(calls: list[tuple[PriceTerms, int]]) -> int:
    return sum(terms.charge(billsec).cost_micro for terms, billsec in calls)


def _free_used(calls: list[tuple[PriceTerms, int]], granted_s: int) -> int:
    left_s = granted_s
    for terms, billsec in calls:
        left_s -= terms.charge(billsec, left_s).free_s
        assert left_s >= 0
    return granted_s - left_s


def test_a_very_long_call_is_priced() -> None:
    terms = PriceTerms.outbound("0.54401", 1, 1)
    assert terms.charge(10**15).cost_micro == 9_066_833_333_333_333_333


def test_negative_free_seconds_count_as_none() -> None:
    assert PriceTerms.outbound("0.01", 60, 60).charge(60, -30).free_s == 0


@pytest.mark.parametrize(
    ("text", "increments"),
    [
        ("6", (6, 6)),
        (" 60 ", (60, 60)),
        ("30/6", (30, 6)),
        ("1 / 1", (1, 1)),
        ("86400", (86400,) * 2),
    ],
)
def test_an_increment_is_parsed(text: str, increments: tuple[int, int]) -> None:
    assert parse_increment(text) == increments


@pytest.mark.parametrize(
    "text", ["", "0", "0/6", "6/0", "-6", "6/", "/6", "6/6/6", "1.5", "six", "86401", "٦", "9" * 99]
)
def test_an_invalid_increment_is_rejected(text: str) -> None:
    with pytest.raises(BadInput):
        parse_increment(text)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("rate_per_min", {"rate_per_min": "-0.01"}),
        ("rate_per_min", {"rate_per_min": "1e2"}),
        ("rate_per_min", {"rate_per_min": str(MAX_RATE_PER_MIN + 1)}),
        ("markup_percent", {"markup_percent": "-1"}),
        ("markup_percent", {"rate_per_min": "1000000", "markup_percent": "101"}),
        ("connection_fee", {"fees": CallFees("-0.5")}),
        ("minimum_cost", {"fees": CallFees(minimum_cost="-0.5")}),
        ("maximum_cost", {"fees": CallFees(maximum_cost="1000001")}),
        ("initial_s", {"initial_s": 0}),
        ("increment_s", {"increment_s": 86_401}),
    ],
)
def test_invalid_terms_are_rejected(field: str, arguments: dict[str, object]) -> None:
    given_ = {"rate_per_min": "0.01", "initial_s": 60, "increment_s": 60} | arguments
    with pytest.raises(BadInput) as refused:
        PriceTerms.outbound(**given_)  # type: ignore[arg-type]
    assert refused.value.field == field
