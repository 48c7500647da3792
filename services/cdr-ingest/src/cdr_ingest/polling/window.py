"""Which span of call starts to ask a source for: pure.

A PBX lists calls by their start and shows them when they end. So each poll looks back as far as
the longest call seen so far (plus the time the PBX needs to write it down), and now and then as
far as the server's whole look-back, in which an even longer call would be found.
"""

from dataclasses import dataclass

_LEAST_LOOK_BACK_S = 900
_CLOCK_DIFFERENCE_S = 120
"""A PBX whose clock is ahead of ours by up to this lists its newest calls all the same."""


@dataclass(frozen=True)
class LookbackSettings:
    """The settings of a lane's windows, in seconds.

    `by_arrival`: the source is asked by when a record was written, not by when its call began. It
    need not look back as far as calls are long then.
    """

    look_back_s: int
    sweep_every_s: int
    lag_s: int
    window_s: int
    by_arrival: bool = False

    @property
    def whole_s(self) -> int:
        """How far a sweep looks back: the longest call, and the time it takes to be written."""
        return self.look_back_s + self.lag_s


@dataclass(frozen=True)
class Cursor:
    """How far a lane was read: epochs in seconds, and the longest call seen.

    Calls that began a whole look-back before `swept_at`, or earlier, were all read after their
    end. `read_from` is where the very first window began: calls before it are none of ours.
    """

    read_until: int
    longest_call_s: int = 0
    swept_at: int = 0
    read_from: int = 0


@dataclass(frozen=True)
class PollPlan:
    """The windows to ask for, oldest first (both ends inclusive), and whether they are a sweep."""

    windows: tuple[tuple[int, int], ...]
    sweep: bool


def plan_windows(cursor: Cursor | None, now: int, reach: LookbackSettings) -> PollPlan:
    """What to read now. A lane that was never read begins one look-back ago."""
    stop = now + _CLOCK_DIFFERENCE_S
    if cursor is None:
        return PollPlan(_cut(now - reach.whole_s, stop, reach.window_s), sweep=True)
    sweep = not 0 <= now - cursor.swept_at < reach.sweep_every_s
    read_until = min(cursor.read_until, now)
    if sweep:
        # What ended since the last sweep may be as old as a look-back before that sweep.
        start = min(cursor.swept_at or read_until, now) - reach.whole_s
    else:
        start = read_until - min(_needed_s(cursor, reach), reach.whole_s)
    return PollPlan(_cut(start, stop, reach.window_s), sweep)


def advanced(
    cursor: Cursor | None,
    todo: PollPlan,
    window: tuple[int, int],
    now: int,
    reach: LookbackSettings,
) -> Cursor:
    """The cursor after one of the plan's windows was read; `now` is when the plan was made.

    After each, so that a catch-up that is cut off goes on where it was. Nothing in it is less than
    before, wherever in the plan the window stands.
    """
    before = cursor or Cursor(0, read_from=max(1, todo.windows[0][0]))
    swept_at = min(now, window[1] + 1 + reach.whole_s) if todo.sweep else 0
    return Cursor(
        read_until=max(before.read_until, min(window[1], now)),
        longest_call_s=before.longest_call_s,
        swept_at=max(before.swept_at, swept_at),
        read_from=before.read_from,
    )


def _needed_s(cursor: Cursor, reach: LookbackSettings) -> int:
    longest_s = 0 if reach.by_arrival else cursor.longest_call_s
    return max(_LEAST_LOOK_BACK_S, longest_s + reach.lag_s)


def _cut(start: int, stop: int, window_s: int) -> tuple[tuple[int, int], ...]:
    windows = []
    start = max(1, start)
    while start <= stop:
        end = min(start + window_s - 1, stop)
        windows.append((start, end))
        start = end + 1
    return tuple(windows)
