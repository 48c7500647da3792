"""Levels, and which moves between them are announced."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balance_watch.crossing import cross, first_sight, level_of, parse_threshold
from balance_watch.vectors import COLUMNS, Case
from ringfence.events.balance import Level
from ringfence.vectors import read_cases

VECTORS = Path(__file__).parents[1] / "vectors" / "thresholds.csv"
CASES = read_cases(VECTORS, COLUMNS, Case.read)
AMOUNTS = st.integers(-(10**9), 10**9)
THRESHOLDS = st.none() | st.integers(0, 10**9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_published_case(case: Case) -> None:
    assert case.events() == case.expected


@pytest.mark.parametrize(
    ("balance", "threshold", "outstanding", "level"),
    [
        (16, 15, 0, "ok"),
        (15, 15, 0, "low"),
        (1, 15, 0, "low"),
        (0, 15, 0, "exhausted"),
        (-1, None, 0, "exhausted"),
        (1, None, 0, "ok"),
        (1, 0, 0, "ok"),
        (20, 15, 20, "ok"),
        (20, 15, 21, "exhausted"),
        (20, 15, 10, "ok"),
        (20, 15, -5, "ok"),
        (0, 15, -5, "exhausted"),
    ],
)
def test_levels(balance: int, threshold: int | None, outstanding: int, level: Level) -> None:
    """The threshold is held against the credit, not against what debts would leave of it."""
    assert level_of(balance, threshold, outstanding) == level


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (None, "ok", None),
        (None, "low", None),
        (None, "exhausted", None),
        ("ok", "ok", None),
        ("ok", "low", "low"),
        ("ok", "exhausted", "zero"),
        ("low", "ok", "restored"),
        ("low", "low", None),
        ("low", "exhausted", "zero"),
        ("exhausted", "ok", "restored"),
        ("exhausted", "low", "restored"),
        ("exhausted", "exhausted", None),
    ],
)
def test_every_move_has_one_name(before: Level | None, after: Level, kind: str | None) -> None:
    assert cross(before, after) == kind


def test_who_is_met_exhausted_is_announced_for_nobody_else_would() -> None:
    assert first_sight("exhausted") == "zero"
    assert first_sight("low") == "restored"
    assert first_sight("ok") == "restored"


@given(st.lists(AMOUNTS, min_size=1), THRESHOLDS, st.integers(0, 10**9))
def test_events_alternate_as_the_level_moves(
    balances: list[int], threshold: int | None, outstanding: int
) -> None:
    """`low` is never announced twice without a rise between, nor `zero`."""
    levels = [level_of(balance, threshold, outstanding) for balance in balances]
    armed = {"low": True, "zero": True}
    for before, after in pairwise(levels):
        kind = cross(before, after)
        if kind == "restored":
            armed = {"low": after == "ok", "zero": True}
        elif kind:
            assert armed[kind]
            armed = {"low": False, "zero": kind == "low"}


@given(AMOUNTS, AMOUNTS, THRESHOLDS, st.integers(0, 10**9))
def test_less_money_is_never_a_better_level(
    one: int, other: int, threshold: int | None, outstanding: int
) -> None:
    less, more = sorted((one, other))
    kind = cross(level_of(more, threshold, outstanding), level_of(less, threshold, outstanding))
    assert kind in (None, "low", "zero")


@pytest.mark.parametrize(
    ("text", "threshold_micro"),
    [
        ("15", 15_000_000),
        (" $15 ", 15_000_000),
        ("$ 15.00", 15_000_000),
        ("12.50", 12_500_000),
        (".5", 500_000),
        ("1,500", 1_500_000_000),
        ("$1,500.25", 1_500_250_000),
        ("", None),
        ("  ", None),
        ("0", None),
        ("$0.00", None),
    ],
)
def test_a_threshold_as_people_type_it(text: str, threshold_micro: int | None) -> None:
    assert parse_threshold(text) == (threshold_micro, "")


@pytest.mark.parametrize(
    "text", ["soon", "$", "-5", "1,50", "15 dollars", "1e3", "NaN", "١٥", "0.0000001", "9" * 20]
)
def test_a_threshold_that_is_no_amount_is_off_with_a_warning(text: str) -> None:
    read = parse_threshold(text)
    assert read.threshold_micro is None
    assert "Low Balance Threshold" in read.warning
