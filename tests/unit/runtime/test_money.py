"""Money: parsing, rounding and formatting."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_contracts.errors import BadInput
from ringfence_contracts.money import (
    MAX_MICRO,
    format_cents,
    format_micro,
    parse_decimal,
    parse_micro,
    round_half_up,
)


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("8", 8_000_000),
        ("8.00", 8_000_000),
        (" .03 ", 30_000),
        ("15.", 15_000_000),
        ("-0.01", -10_000),
        ("+1", 1_000_000),
        ("0.000001", 1),
        ("1,500", 1_500_000_000),
        ("1,234,567.89", 1_234_567_890_000),
        ("1.10000000", 1_100_000),
        ("1000000000", MAX_MICRO),
    ],
)
def test_an_amount_is_read_exactly(text: str, micro: int) -> None:
    assert parse_micro(text) == micro


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "-",
        "soon",
        "1e3",
        "NaN",
        "inf",
        "0x10",
        "1_000",
        "1,50",
        "1,5000",
        ",500",
        "1.5.0",
        "١٥",
        "0.0000001",
        "1000000000.000001",
        "9" * 41,
        "$15",
    ],
)
def test_an_invalid_amount_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_micro(text, "credit")
    assert refused.value.field == "credit"
    assert refused.value.value == text


def test_a_rate_keeps_decimals_that_money_may_not_have() -> None:
    assert parse_decimal("0.0000000001", "rate") == Fraction(1, 10**10)


@given(st.integers(-MAX_MICRO, MAX_MICRO), st.integers(0, 6))
def test_a_formatted_amount_parses_to_the_same_amount(micro: int, decimals: int) -> None:
    shown = format_micro(micro, decimals)
    assert parse_micro(shown) == micro
    _, _, fraction = shown.partition(".")
    assert len(fraction) >= decimals


@pytest.mark.parametrize(
    ("micro", "shown"),
    [(0, "0.00"), (1, "0.000001"), (-1_500_000, "-1.50"), (10**12, "1000000.00")],
)
def test_amounts_are_shown_with_all_their_decimals(micro: int, shown: str) -> None:
    assert format_micro(micro) == shown


@pytest.mark.parametrize(
    ("micro", "shown"),
    [(4_000, "0.00"), (-4_000, "-0.01"), (9_999, "0.00"), (10_000, "0.01"), (8_000_000, "8.00")],
)
def test_cents_never_show_more_than_there_is(micro: int, shown: str) -> None:
    assert format_cents(micro) == shown


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(0, 7, 0), (1, 2, 1), (3, 2, 2), (5, 2, 3), (49, 100, 0), (51, 100, 1), (1, 3, 0), (2, 3, 1)],
)
def test_an_exact_half_goes_up(numerator: int, denominator: int, rounded: int) -> None:
    assert round_half_up(numerator, denominator) == rounded


@given(st.integers(0, 10**30), st.integers(1, 10**15))
def test_rounding_changes_an_amount_by_half_at_most(numerator: int, denominator: int) -> None:
    moved = round_half_up(numerator, denominator) - Fraction(numerator, denominator)
    assert -Fraction(1, 2) < moved <= Fraction(1, 2)
