"""Ranges of extensions: both ends, as many digits, nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_contracts.extension_ranges import (
    MAX_NUMBERS,
    ends_of,
    in_range,
    in_ranges,
    numbers_of,
    overlap,
)


@pytest.mark.parametrize(
    "text",
    ["", "2100", "2199-2100", "2100-2100", "99-100", "1000-2000", "a-b", "1-9", "2100-2199 "],
)
def test_other_texts_are_no_range_and_have_no_numbers(text: str) -> None:
    assert ends_of(text) is None
    assert list(numbers_of(text)) == []
    assert not in_range("2100", text)
    assert not overlap(text, "2100-2199")


@pytest.mark.parametrize(
    ("number", "within"),
    [
        ("2100", True),
        ("2199", True),
        ("2200", False),
        ("02100", False),
        ("", False),
        ("21x0", False),
    ],
)
def test_a_range_has_both_ends_and_only_numbers_of_its_length(number: str, within: bool) -> None:
    assert in_range(number, "2100-2199") is within
    assert in_ranges(number, ("3000-3001", "2100-2199")) is within


def test_leading_zeros_are_kept() -> None:
    assert list(numbers_of("008-010")) == ["008", "009", "010"]


RANGES = st.tuples(st.integers(100, 998), st.integers(1, 200)).map(
    lambda pair: f"{pair[0]}-{min(999, pair[0] + pair[1])}"
)


@given(RANGES, RANGES)
def test_ranges_overlap_where_they_have_a_number_in_common(one: str, other: str) -> None:
    common = set(numbers_of(one)) & set(numbers_of(other))
    assert overlap(one, other) is overlap(other, one) is bool(common)
    assert all(in_range(number, one) and in_range(number, other) for number in common)
    assert len(list(numbers_of(one))) <= MAX_NUMBERS
