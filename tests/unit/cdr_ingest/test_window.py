"""The windows of call starts that are read: no ended call is ever left out."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_ingest.polling.backoff import QUIET_S, backed_off_s, next_poll_s
from cdr_ingest.polling.window import (
    Band,
    Cursor,
    Listing,
    LookbackSettings,
    PollPlan,
    StartWindow,
    advanced,
    plan_windows,
)
from tests.support.examples import examples

NOON = 1_795_256_400
HOUR = 3600
DAY = 24 * HOUR
LOOKBACK = LookbackSettings(look_back_s=DAY, sweep_every_s=600, lag_s=300, window_s=HOUR)
BY_START = replace(LOOKBACK, listing=Listing.BY_START, window_s=10**9)
BY_ARRIVAL = replace(LOOKBACK, listing=Listing.BY_ARRIVAL)
FIRST_S = DAY + 300
RINGING_S = 300
POLLED = Cursor(NOON - 5, swept_at=NOON - 5, read_from=NOON - 9 * DAY)
"""A feed that was polled 5 seconds ago, with all its bands."""


def planned(cursor: Cursor | None, lookback: LookbackSettings = LOOKBACK) -> PollPlan:
    """The plan at noon of a service that was just started."""
    return plan_windows(cursor, NOON, lookback, {})


def span(todo: PollPlan) -> tuple[int, int]:
    """The first and the last second of the windows of recent calls."""
    recent = [window for window in todo.windows if not window.least_s]
    return recent[0].start, recent[-1].stop


def older(todo: PollPlan) -> list[StartWindow]:
    return [window for window in todo.windows if window.least_s]


def test_a_feed_that_was_never_read_begins_one_look_back_ago() -> None:
    assert span(planned(None)) == (NOON - FIRST_S, NOON + 120)


@pytest.mark.parametrize("lookback", [LOOKBACK, BY_START])
def test_a_poll_looks_back_a_quarter_of_an_hour(lookback: LookbackSettings) -> None:
    """However long the calls before were: the bands find long calls."""
    assert span(planned(POLLED, lookback)) == (NOON - 5 - 900, NOON + 120)
    assert older(planned(POLLED, lookback)) == []


def test_a_poll_by_arrival_looks_back_only_by_the_time_to_store_a_call() -> None:
    long_ago = replace(POLLED, swept_at=0)
    assert span(planned(long_ago, BY_ARRIVAL)) == (NOON - 5 - 300, NOON + 120)
    assert older(planned(long_ago, BY_ARRIVAL)) == []


def test_each_band_is_twice_as_old_as_the_one_before_and_read_half_as_often() -> None:
    bands = LOOKBACK.bands()
    assert [band.from_s for band in bands] == [900 * 2**n for n in range(8)]
    assert [band.every_s for band in bands] == [15, 30, 60, 120, 240, 480, 600, 600]
    assert bands[-1].until_s == 2 * DAY + 300
    assert all(band.until_s == after.from_s for band, after in pairwise(bands))


def test_a_band_is_asked_for_only_its_long_calls() -> None:
    """A call that was listed since the last read of its band is about as long as it is old."""
    due = older(planned(replace(POLLED, swept_at=NOON - 16)))
    assert due == [StartWindow(NOON - 16 - 1800, NOON - 5 - 900 - 1, (LOOKBACK.bands()[0],), 300)]


def test_the_oldest_band_reaches_back_two_look_backs_from_its_last_read() -> None:
    due = older(planned(replace(POLLED, swept_at=NOON - 600)))
    assert len(due) == 8
    assert due[-1].start == NOON - 600 - 2 * DAY - 300
    assert due[-1].least_s == LOOKBACK.bands()[-1].from_s - 300 - RINGING_S


def test_a_source_that_cannot_select_by_length_is_read_once_back_to_the_oldest_band() -> None:
    [window] = planned(replace(POLLED, swept_at=NOON - 130), BY_START).windows
    assert window.start == NOON - 130 - 3600
    assert len(window.bands) == 2


def test_an_outage_is_caught_up_in_adjacent_windows_oldest_first() -> None:
    todo = planned(Cursor(NOON - 30 * HOUR, swept_at=NOON - 30 * HOUR))
    assert span(todo) == (NOON - 30 * HOUR - 900, NOON + 120)
    windows = [window for window in todo.windows if not window.least_s]
    for before, after in pairwise(windows):
        assert after.start == before.stop + 1
        assert 0 <= after.stop - after.start < HOUR


def test_an_interrupted_catch_up_continues_where_it_stopped() -> None:
    cursor = Cursor(NOON - 30 * HOUR, swept_at=NOON - 30 * HOUR)
    todo = planned(cursor)
    for window in todo.windows[:20]:
        cursor = advanced(cursor, todo, window, NOON, LOOKBACK, {})
    again = plan_windows(cursor, NOON + 60, LOOKBACK, {})
    assert again.windows[0].start == todo.windows[20].start - 1 - 900


def test_after_a_catch_up_calls_read_before_the_outage_are_not_read_again() -> None:
    cursor = Cursor(NOON - 30 * HOUR, swept_at=NOON - 30 * HOUR)
    todo = planned(cursor)
    looked_at: dict[Band, int] = {}
    for window in todo.windows:
        looked_at |= dict.fromkeys(window.bands, NOON)
        cursor = advanced(cursor, todo, window, NOON, LOOKBACK, looked_at)
    assert (cursor.read_until, cursor.swept_at) == (NOON, NOON)


def test_the_start_of_the_first_window_is_kept() -> None:
    todo = planned(None)
    cursor = advanced(None, todo, todo.windows[0], NOON, LOOKBACK, {})
    later = advanced(cursor, todo, todo.windows[1], NOON, LOOKBACK, {})
    assert cursor.read_from == later.read_from == NOON - FIRST_S


def test_a_clock_that_is_set_back_does_not_move_the_cursor_back() -> None:
    ahead = Cursor(NOON + DAY, swept_at=NOON + DAY)
    todo = planned(ahead)
    assert span(todo) == (NOON - 900, NOON + 120)
    assert len(older(todo)) == 8
    assert advanced(ahead, todo, todo.windows[-1], NOON, LOOKBACK, {}) == ahead


def test_an_epoch_is_never_less_than_one() -> None:
    """FusionPBX takes 0 for "not given"."""
    for cursor in (None, Cursor(90)):
        windows = plan_windows(cursor, 100, LOOKBACK, {}).windows
        assert min(window.start for window in windows) == 1


@dataclass(frozen=True)
class Ended:
    """A call: its start, its end, the time from which its PBX shows it, and for how long it rang.

    The PBX's own length of the call leaves the ringing out.
    """

    start: int
    end: int
    lag_s: int
    rang_s: int = 0

    @property
    def shown_at(self) -> int:
        return self.end + self.lag_s

    def is_in(self, window: StartWindow, now: int) -> bool:
        talked_s = self.end - self.start - self.rang_s
        listed = self.shown_at <= now and window.start <= self.start <= window.stop
        return listed and talked_s >= window.least_s


@dataclass(frozen=True)
class Turn:
    """A poll some time after the previous one; it may stop after its first windows."""

    after_s: int
    windows: int
    restarted: bool = False


@dataclass
class Polled:
    """What some turns read, and the cursors before and after each window."""

    read: set[Ended] = field(default_factory=set)
    cursors: list[tuple[Cursor | None, Cursor]] = field(default_factory=list)
    cursor: Cursor | None = None
    looked_at: dict[Band, int] = field(default_factory=dict)

    def poll(self, calls: list[Ended], now: int, turn: Turn, lookback: LookbackSettings) -> None:
        if turn.restarted:
            self.looked_at = {}
        todo = plan_windows(self.cursor, now, lookback, self.looked_at)
        for window in todo.windows[: turn.windows]:
            self.read |= {call for call in calls if call.is_in(window, now)}
            self.looked_at |= dict.fromkeys(window.bands, now)
            before = self.cursor
            self.cursor = advanced(before, todo, window, now, lookback, self.looked_at)
            self.cursors.append((before, self.cursor))


LENGTHS = st.one_of(
    st.integers(0, 600), st.integers(600, 5 * HOUR), st.integers(0, 2 * LOOKBACK.look_back_s)
)
CALLS = st.lists(
    st.builds(
        lambda start, length, lag, rang: Ended(start, start + length, lag, min(length, rang)),
        st.integers(NOON - 2 * DAY, NOON + 20 * HOUR),
        LENGTHS,
        st.integers(0, LOOKBACK.lag_s),
        st.integers(0, RINGING_S),
    ),
    max_size=30,
)
TURNS = st.lists(
    st.builds(
        Turn,
        st.one_of(st.just(5), st.integers(1, 900), st.integers(1, 30 * HOUR)),
        st.one_of(st.just(99), st.integers(0, 6)),
        st.booleans(),
    ),
    max_size=60,
)
SELECTING = st.sampled_from([LOOKBACK, BY_START])


def polled(calls: list[Ended], turns: list[Turn], lookback: LookbackSettings) -> Polled:
    """Play the turns, then twice ten minutes without failure."""
    now, found = NOON, Polled()
    last = max((call.shown_at for call in calls), default=NOON)
    rest_s = max(1, last - now - sum(t.after_s for t in turns)) + 1
    for turn in [Turn(0, 1), *turns, Turn(rest_s, 999), Turn(600, 999)]:
        now += turn.after_s
        found.poll(calls, now, turn, lookback)
    return found


@settings(max_examples=examples(4), deadline=None)
@given(CALLS, TURNS, SELECTING)
def test_no_schedule_of_outages_loses_a_call(
    calls: list[Ended], turns: list[Turn], lookback: LookbackSettings
) -> None:
    """Wherever polls stop or the service restarts, every call is read in the end that began in
    the first look-back or ended after the first poll."""
    read = polled(calls, turns, lookback).read
    wanted = {c for c in calls if c.start >= NOON - FIRST_S or c.shown_at > NOON}
    assert wanted <= read


@settings(max_examples=examples(2), deadline=None)
@given(CALLS, TURNS, SELECTING)
def test_a_cursor_never_decreases(
    calls: list[Ended], turns: list[Turn], lookback: LookbackSettings
) -> None:
    for before, after in polled(calls, turns, lookback).cursors:
        if before is not None:
            assert after.read_until >= before.read_until
            assert after.swept_at >= before.swept_at
            assert after.read_from == before.read_from


@pytest.mark.parametrize("lookback", [LOOKBACK, BY_START])
@pytest.mark.parametrize("hours", [0.3, 1, 3.5, 5, 12, 25])
def test_a_long_call_is_read_soon_after_it_is_listed(
    hours: float, lookback: LookbackSettings
) -> None:
    """Within a sixtieth of its length (a fifteenth without a filter), at most ten minutes."""
    length_s = int(hours * HOUR)
    call = Ended(NOON - length_s + 40 * 60, NOON + 40 * 60, 30, 20)
    now, found = NOON, Polled()
    while call not in found.read:
        found.poll([call], now, Turn(5, 999), lookback)
        now += 5
        share = 60 if lookback is LOOKBACK else 15
        assert now <= call.shown_at + min(600, length_s // share) + 10


def test_after_a_long_call_a_day_of_polls_reads_no_more_than_before_it() -> None:
    """Requests, and seconds of calls that are asked for without a least length."""
    now, found, call = NOON, Polled(), Ended(NOON - 3 * HOUR, NOON + HOUR, 5)
    requests, seconds = [], []
    for _ in range(DAY // 5):
        todo = plan_windows(found.cursor, now, LOOKBACK, found.looked_at)
        requests.append(len(todo.windows))
        seconds.append(sum(w.stop - w.start for w in todo.windows if not w.least_s))
        found.poll([call], now, Turn(5, 999), LOOKBACK)
        now += 5
    assert call in found.read
    assert max(seconds[1:]) <= 900 + 5 + 120
    assert sum(requests[1:]) / len(requests) < 1.75


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
