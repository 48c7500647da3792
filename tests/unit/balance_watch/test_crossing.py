"""Funds holds, levels, and which changes between them are published."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balance_watch.crossing import cross, level_of
from balance_watch.funds import belong_together, class_of, hold_after
from ringfence_contracts.events.balance import Level

SMALL = st.integers(-6, 6)
DEBTS = st.integers(0, 6)
LIMITS = st.integers(0, 3)


@pytest.mark.parametrize(
    ("credit", "outstanding", "limit", "funds"),
    [
        (-1, 0, 0, "spent"),
        (0, 0, 0, "spent"),
        (0, 5, 0, "spent"),
        (0, -5, 0, "spent"),
        (5, 6, 0, "spent"),
        (5, 5, 0, "between"),
        (5, 1, 0, "between"),
        (5, 0, 0, "free"),
        (1, 0, 0, "free"),
        (5, -1, 0, "free"),
        (0, 0, 3, "free"),
        (-2, 0, 3, "free"),
        (-3, 0, 3, "spent"),
        (-2, 1, 3, "spent"),
        (2, 1, 3, "between"),
    ],
)
def test_the_class_of_a_pair(credit: int, outstanding: int, limit: int, funds: str) -> None:
    """Within a credit limit debts of 0 hold nobody, however negative the credit is."""
    assert class_of(credit, outstanding, limit) == funds


@pytest.mark.parametrize(
    ("credit", "outstanding", "when_free", "when_held"),
    [(-1, 0, 1, 1), (0, 5, 1, 1), (5, 6, 1, 1), (5, 5, 0, 1), (5, 1, 0, 1), (5, 0, 0, 0)],
)
def test_the_hold_after_a_pair_that_belongs_together(
    credit: int, outstanding: int, when_free: int, when_held: int
) -> None:
    assert hold_after(False, credit, outstanding) is bool(when_free)
    assert hold_after(True, credit, outstanding) is bool(when_held)


@given(st.booleans(), SMALL, DEBTS, LIMITS)
def test_a_pair_that_does_not_belong_together_begins_a_hold_only_without_credit(
    held: bool, credit: int, outstanding: int, limit: int
) -> None:
    after = hold_after(held, credit, outstanding, limit, together=False)
    assert after == (held or credit <= -limit)


@pytest.mark.parametrize(
    ("settled", "accepted", "together"),
    [(None, 9, True), (0, 0, True), (2, 3, False), (3, 3, True), (4, 3, True)],
)
def test_when_credit_and_debts_belong_together(
    settled: int | None, accepted: int, together: bool
) -> None:
    assert belong_together(settled, accepted) is together


@given(st.booleans(), SMALL, SMALL, DEBTS, DEBTS, LIMITS)
def test_more_credit_and_less_debts_never_begin_a_hold(
    held: bool, one: int, other: int, debts: int, fewer: int, limit: int
) -> None:
    less, more = sorted((one, other))
    fewer, debts = sorted((debts, fewer))
    poor = hold_after(held, less, debts, limit)
    rich = hold_after(held, more, fewer, limit)
    assert rich <= poor


@pytest.mark.parametrize(
    ("held", "balance", "threshold", "level"),
    [
        (False, 16, 15, "ok"),
        (False, 15, 15, "low"),
        (False, 1, 15, "low"),
        (False, 1, None, "ok"),
        (False, -1, None, "ok"),
        (False, 1, 0, "ok"),
        (True, 100, 15, "exhausted"),
        (True, 10, 15, "exhausted"),
    ],
)
def test_the_level_follows_from_hold_and_threshold(
    held: bool, balance: int, threshold: int | None, level: Level
) -> None:
    assert level_of(held, balance, threshold) == level


@pytest.mark.parametrize(
    ("before", "after", "quiet", "due"),
    [
        (None, "ok", None, None),
        (None, "low", None, "low"),
        (None, "exhausted", "zero", "zero"),
        ("ok", "ok", None, None),
        ("ok", "low", None, "low"),
        ("ok", "exhausted", "zero", "zero"),
        ("low", "ok", "restored", "restored"),
        ("low", "low", None, "low"),
        ("low", "exhausted", "zero", "zero"),
        ("exhausted", "ok", "restored", "restored"),
        ("exhausted", "low", "restored", "restored"),
        ("exhausted", "exhausted", None, None),
    ],
)
def test_every_change_is_published_as_one_kind(
    before: Level | None, after: Level, quiet: str | None, due: str | None
) -> None:
    assert cross(before, after, alert_due=False) == quiet
    assert cross(before, after, alert_due=True) == due
