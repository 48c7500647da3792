"""The windows of call starts that are read: no ended call is ever left out."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_ingest.polling.backoff import QUIET_S, backed_off_s, next_poll_s
from cdr_ingest.polling.window import Cursor, LookbackSettings, PollPlan, advanced, plan_windows
from tests.support.examples import examples

NOON = 1_795_256_400
HOUR = 3600
LOOKBACK = LookbackSettings(look_back_s=4 * HOUR, sweep_every_s=600, lag_s=300, window_s=HOUR)
WHOLE_S = 4 * HOUR + 300


def span(todo: PollPlan) -> tuple[int, int]:
    """The first and the last second of a plan."""
    return todo.windows[0][0], todo.windows[-1][1]


def test_a_feed_that_was_never_read_begins_one_look_back_ago() -> None:
    todo = plan_windows(None, NOON, LOOKBACK)
    assert todo.sweep
    assert span(todo) == (NOON - WHOLE_S, NOON + 120)


def test_between_sweeps_it_looks_back_by_the_longest_call_seen() -> None:
    cursor = Cursor(NOON - 5, longest_call_s=2 * HOUR, swept_at=NOON - 60)
    assert span(plan_windows(cursor, NOON, LOOKBACK)) == (NOON - 5 - 2 * HOUR - 300, NOON + 120)


@pytest.mark.parametrize("longest_s", [0, 599])
def test_it_looks_back_at_least_a_quarter_of_an_hour(longest_s: int) -> None:
    cursor = Cursor(NOON - 5, longest_call_s=longest_s, swept_at=NOON - 60)
    assert span(plan_windows(cursor, NOON, LOOKBACK))[0] == NOON - 5 - 900


def test_by_arrival_the_look_back_does_not_depend_on_the_longest_call() -> None:
    cursor = Cursor(NOON - 5, longest_call_s=2 * HOUR, swept_at=NOON - 60)
    assert span(plan_windows(cursor, NOON, replace(LOOKBACK, by_arrival=True)))[0] == NOON - 5 - 900


def test_a_sweep_looks_back_from_the_previous_sweep() -> None:
    """A call as long as the look-back may have ended just after that sweep."""
    todo = plan_windows(Cursor(NOON - 5, swept_at=NOON - 600), NOON, LOOKBACK)
    assert todo.sweep
    assert span(todo)[0] == NOON - 600 - WHOLE_S


def test_an_outage_is_caught_up_in_adjacent_windows_oldest_first() -> None:
    todo = plan_windows(Cursor(NOON - 30 * HOUR, swept_at=NOON - 30 * HOUR), NOON, LOOKBACK)
    assert span(todo) == (NOON - 30 * HOUR - WHOLE_S, NOON + 120)
    for (_, end), (start, stop) in zip(todo.windows, todo.windows[1:], strict=False):
        assert start == end + 1
        assert 0 <= stop - start < HOUR


def test_an_interrupted_catch_up_continues_where_it_stopped() -> None:
    cursor = Cursor(NOON - 30 * HOUR, swept_at=NOON - 30 * HOUR)
    todo = plan_windows(cursor, NOON, LOOKBACK)
    for window in todo.windows[:20]:
        cursor = advanced(cursor, todo, window, NOON, LOOKBACK)
    assert plan_windows(cursor, NOON + 60, LOOKBACK).windows[0][0] == todo.windows[20][0]


def test_after_a_catch_up_calls_read_before_the_outage_are_not_read_again() -> None:
    cursor = Cursor(NOON - 30 * HOUR, swept_at=NOON - 30 * HOUR)
    todo = plan_windows(cursor, NOON, LOOKBACK)
    for window in todo.windows:
        cursor = advanced(cursor, todo, window, NOON, LOOKBACK)
    assert (cursor.read_until, cursor.swept_at) == (NOON, NOON)


def test_the_start_of_the_first_window_is_kept() -> None:
    todo = plan_windows(None, NOON, LOOKBACK)
    cursor = advanced(None, todo, todo.windows[0], NOON, LOOKBACK)
    later = advanced(cursor, todo, todo.windows[1], NOON, LOOKBACK)
    assert cursor.read_from == later.read_from == NOON - WHOLE_S


def test_a_clock_that_is_set_back_does_not_move_the_cursor_back() -> None:
    ahead = Cursor(NOON + 86_400, swept_at=NOON + 86_400)
    todo = plan_windows(ahead, NOON, LOOKBACK)
    assert span(todo) == (NOON - WHOLE_S, NOON + 120)
    assert advanced(ahead, todo, todo.windows[-1], NOON, LOOKBACK) == ahead


def test_an_epoch_is_never_less_than_one() -> None:
    """FusionPBX takes 0 for "not given"."""
    assert plan_windows(None, 100, LOOKBACK).windows[0][0] == 1


@dataclass(frozen=True)
class Ended:
    """A call: its start, its end, and the time from which its PBX shows it."""

    start: int
    shown_at: int


@dataclass(frozen=True)
class Turn:
    """A poll some time after the previous one; it may stop after its first windows."""

    after_s: int
    windows: int


LENGTHS = st.one_of(st.integers(0, 600), st.integers(0, LOOKBACK.look_back_s))
CALLS = st.lists(
    st.builds(
        lambda start, length, lag: Ended(start, start + length + lag),
        st.integers(NOON - 4 * HOUR, NOON + 20 * HOUR),
        LENGTHS,
        st.integers(0, LOOKBACK.lag_s),
    ),
    max_size=30,
)
TURNS = st.lists(
    st.builds(
        Turn,
        st.one_of(st.just(5), st.integers(1, 900), st.integers(1, 8 * HOUR)),
        st.one_of(st.just(99), st.integers(0, 6)),
    ),
    max_size=60,
)


def polled(
    calls: list[Ended], turns: list[Turn], lookback: LookbackSettings = LOOKBACK
) -> tuple[set[Ended], list[tuple[Cursor | None, Cursor]]]:
    """Play the turns, then ten minutes without failure. Returns the calls read and all cursors."""
    now = NOON
    cursor: Cursor | None = None
    read: set[Ended] = set()
    cursors: list[tuple[Cursor | None, Cursor]] = []
    last = max((call.shown_at for call in calls), default=NOON)
    end = [Turn(max(1, last - now - sum(t.after_s for t in turns)) + 1, 99), Turn(600, 99)]
    for turn in [*turns, *end]:
        now += turn.after_s
        todo = plan_windows(cursor, now, lookback)
        for start, stop in todo.windows[: turn.windows]:
            read |= {c for c in calls if start <= c.start <= stop and c.shown_at <= now}
            before, after = cursor, advanced(cursor, todo, (start, stop), now, lookback)
            seen_s = max((c.shown_at - c.start for c in read), default=0)
            cursor = replace(after, longest_call_s=max(after.longest_call_s, seen_s))
            cursors.append((before, cursor))
    return read, cursors


@settings(max_examples=examples(4), deadline=None)
@given(CALLS, TURNS)
def test_no_schedule_of_outages_loses_a_call(calls: list[Ended], turns: list[Turn]) -> None:
    """Wherever polls stop, every call that began after the first window is read in the end."""
    read, cursors = polled(calls, turns)
    begun = cursors[0][1].read_from
    assert {call for call in calls if call.start >= begun} <= read


@settings(max_examples=examples(2), deadline=None)
@given(CALLS, TURNS)
def test_a_cursor_never_decreases(calls: list[Ended], turns: list[Turn]) -> None:
    for before, after in polled(calls, turns)[1]:
        if before is not None:
            assert after.read_until >= before.read_until
            assert after.swept_at >= before.swept_at
            assert after.longest_call_s >= before.longest_call_s
            assert after.read_from == before.read_from


@settings(max_examples=examples(2), deadline=None)
@given(st.integers(0, LOOKBACK.look_back_s), st.integers(0, LOOKBACK.lag_s), st.integers(0, 599))
def test_a_call_longer_than_any_before_is_read_within_one_sweep(
    length_s: int, lag_s: int, phase_s: int
) -> None:
    start = NOON + HOUR + phase_s
    call = Ended(start, start + length_s + lag_s)
    polls = (call.shown_at - NOON) // 5 + LOOKBACK.sweep_every_s // 5 + 2
    now, cursor = NOON, None
    for _ in range(polls):
        todo = plan_windows(cursor, now, LOOKBACK)
        if now >= call.shown_at and any(a <= call.start <= b for a, b in todo.windows):
            break
        for window in todo.windows:
            cursor = advanced(cursor, todo, window, now, LOOKBACK)
        now += 5
    assert now <= call.shown_at + LOOKBACK.sweep_every_s + 5


@pytest.mark.parametrize(
    ("quiet_s", "expected_s"),
    [(0, 5), (59, 5), (QUIET_S, 5), (90, 7.5), (120, 10), (180, 15), (86_400, 15)],
)
def test_a_feed_is_polled_less_often_when_no_calls_arrive(
    quiet_s: float, expected_s: float
) -> None:
    assert next_poll_s(quiet_s, 5.0, 15.0) == expected_s


def test_a_rest_interval_that_is_not_longer_has_no_effect() -> None:
    assert next_poll_s(86_400, 5.0, 5.0) == 5.0
    assert next_poll_s(86_400, 5.0, 1.0) == 5.0


def test_the_back_off_grows_up_to_its_limit() -> None:
    waits = [backed_off_s(failures, 5.0, 60.0) for failures in (1, 2, 3, 4, 5, 5000)]
    assert waits == [10, 20, 40, 60, 60, 60]
