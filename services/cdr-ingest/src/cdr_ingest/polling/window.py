"""Which windows of call starts to ask a source for: pure.

A PBX lists calls by their start, and only after their end. So each poll looks back by the length
of the longest call seen so far, plus the time that the PBX needs to store a call. A sweep looks
back by the server's whole look-back, which also finds a call longer than any seen before.
"""

from dataclasses import dataclass

_LEAST_LOOK_BACK_S = 900
_CLOCK_DIFFERENCE_S = 120
"""Windows end this far in the future: the clock of a PBX may be ahead of ours."""


@dataclass(frozen=True)
class LookbackSettings:
    """The settings of a feed's windows, in seconds.

    `by_arrival`: windows are of the time when a record was stored, not of the call's start. Then
    the look-back need not cover the length of calls.
    """

    look_back_s: int
    sweep_every_s: int
    lag_s: int
    window_s: int
    by_arrival: bool = False

    @property
    def full_s(self) -> int:
        """How far a sweep looks back: the longest possible call, and the time to store it."""
        return self.look_back_s + self.lag_s


@dataclass(frozen=True)
class Cursor:
    """How far a feed was read, in Unix seconds, and the length of the longest call seen.

    All calls that began before `swept_at` minus the full look-back were read after their end.
    `read_from` is the start of the first window ever read; calls before it are not ingested.
    """

    read_until: int
    longest_call_s: int = 0
    swept_at: int = 0
    read_from: int = 0


@dataclass(frozen=True)
class PollPlan:
    """The windows to read, oldest first (both ends inclusive), and whether they are a sweep."""

    windows: tuple[tuple[int, int], ...]
    sweep: bool


def plan_windows(cursor: Cursor | None, now: int, lookback: LookbackSettings) -> PollPlan:
    """The windows to read now. A feed that was never read begins one full look-back ago."""
    stop = now + _CLOCK_DIFFERENCE_S
    if cursor is None:
        return PollPlan(_split(now - lookback.full_s, stop, lookback.window_s), sweep=True)
    sweep = not 0 <= now - cursor.swept_at < lookback.sweep_every_s
    read_until = min(cursor.read_until, now)
    if sweep:
        # A call that ended since the last sweep may have begun a full look-back before that sweep.
        start = min(cursor.swept_at or read_until, now) - lookback.full_s
    else:
        start = read_until - min(_needed_s(cursor, lookback), lookback.full_s)
    return PollPlan(_split(start, stop, lookback.window_s), sweep)


def advanced(
    cursor: Cursor | None,
    plan: PollPlan,
    window: tuple[int, int],
    now: int,
    lookback: LookbackSettings,
) -> Cursor:
    """The cursor after `window`, one of the plan's windows, was read. `now` is the plan's time.

    It moves after each window, so that an interrupted catch-up continues where it stopped. No
    value decreases, whichever of the plan's windows was read.
    """
    before = cursor or Cursor(0, read_from=max(1, plan.windows[0][0]))
    swept_at = min(now, window[1] + 1 + lookback.full_s) if plan.sweep else 0
    return Cursor(
        read_until=max(before.read_until, min(window[1], now)),
        longest_call_s=before.longest_call_s,
        swept_at=max(before.swept_at, swept_at),
        read_from=before.read_from,
    )


def _needed_s(cursor: Cursor, lookback: LookbackSettings) -> int:
    longest_s = 0 if lookback.by_arrival else cursor.longest_call_s
    return max(_LEAST_LOOK_BACK_S, longest_s + lookback.lag_s)


def _split(start: int, stop: int, window_s: int) -> tuple[tuple[int, int], ...]:
    windows = []
    start = max(1, start)
    while start <= stop:
        end = min(start + window_s - 1, stop)
        windows.append((start, end))
        start = end + 1
    return tuple(windows)
