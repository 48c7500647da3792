"""Which hours of calls are counted, and when."""

from collections.abc import Mapping

import pytest

from cdr_ingest.reconciliation.hours import FARTHEST_S, HOUR_S, HourCount, hours_due

TEN = 1_795_255_200
"""2026-11-21 10:00:00 UTC, the start of an hour."""

SETTLE_S = 900
LONG_AGO = TEN - 30 * 86_400


def due(
    now: int, checked: Mapping[int, int | None] | None = None, read_from: int = TEN - HOUR_S
) -> list[int]:
    return hours_due(now, read_from, checked or {}, SETTLE_S)


def test_an_hour_is_due_once_it_is_over_and_the_delay_has_passed() -> None:
    complete = TEN + HOUR_S + SETTLE_S
    known = {TEN - HOUR_S: complete}
    assert due(complete - 1, known) == []
    assert due(complete, known) == [TEN]


def test_the_oldest_hour_is_first() -> None:
    assert due(TEN + 3 * HOUR_S + SETTLE_S) == [TEN - HOUR_S + n * HOUR_S for n in range(4)]


@pytest.mark.parametrize(
    ("after_h", "again"),
    [(0.5, False), (1, True), (1.5, True), (5.9, True), (6, True), (23, True), (24, True)],
)
def test_it_is_due_again_an_hour_six_hours_and_a_day_later(after_h: float, again: bool) -> None:
    """It was counted as soon as it was complete; the latest recheck is due."""
    complete = TEN + HOUR_S + SETTLE_S
    now = complete + int(after_h * HOUR_S)
    assert (TEN in due(now, {TEN: complete})) == again


@pytest.mark.parametrize(("checked_h", "now_h", "again"), [
    (1, 1.5, False), (1, 5.9, False), (1, 6, True), (6, 23.9, False), (6, 24, True),
    (24, 25, False), (24, 160, False), (1, 160, True),
])  # fmt: skip
def test_a_recheck_is_done_once(checked_h: int, now_h: float, again: bool) -> None:
    complete = TEN + HOUR_S + SETTLE_S
    now = complete + int(now_h * HOUR_S)
    checked = {TEN: complete + int(checked_h * HOUR_S)}
    assert (TEN in due(now, checked)) == again


def test_an_hour_whose_count_was_not_finished_stays_due() -> None:
    assert TEN in due(TEN + HOUR_S + SETTLE_S, {TEN: None})


@pytest.mark.parametrize(("read_from", "first"), [
    (TEN, TEN), (TEN + 1, TEN + HOUR_S), (TEN - 1, TEN),
])  # fmt: skip
def test_hours_that_begin_before_the_first_window_are_not_counted(
    read_from: int, first: int
) -> None:
    """An hour is counted only if it is completely within the time that is ingested."""
    assert due(TEN + 2 * HOUR_S + SETTLE_S, read_from=read_from)[0] == first


def test_hours_older_than_a_week_are_not_counted() -> None:
    now = TEN + HOUR_S + SETTLE_S
    found = due(now, read_from=LONG_AGO)
    assert found[-1] == TEN
    assert now - FARTHEST_S <= found[0] < now - FARTHEST_S + HOUR_S


def test_missing_is_listed_minus_ingested() -> None:
    assert HourCount(listed=418, ingested=415).missing == 3
