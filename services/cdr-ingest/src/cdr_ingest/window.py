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
class Reach:
    """The settings of a lane's windows, in seconds."""

    look_back_s: int
    sweep_every_s: int
    lag_s: int
    window_s: int


@dataclass(frozen=True)
class Cursor:
    """How far a lane was read: epochs in seconds, and the longest call seen."""

    read_until: int
    longest_call_s: int = 0
    swept_at: int = 0


@dataclass(frozen=True)
class Plan:
    """The windows to ask for, oldest first (both ends inclusive), and the cursor after them."""

    windows: tuple[tuple[int, int], ...]
    sweep: bool


def plan(cursor: Cursor | None, now: int, reach: Reach) -> Plan:
    """What to read now. A lane that was never read begins one look-back ago."""
    sweep = cursor is None or now - cursor.swept_at >= reach.sweep_every_s
    needed_s = max(_LEAST_LOOK_BACK_S, (cursor.longest_call_s if cursor else 0) + reach.lag_s)
    look_back_s = reach.look_back_s if sweep else min(needed_s, reach.look_back_s)
    read_until = cursor.read_until if cursor else now
    start = min(read_until, now) - look_back_s
    stop = now + _CLOCK_DIFFERENCE_S
    return Plan(tuple(_cut(start, stop, reach.window_s)), sweep)


def _cut(start: int, stop: int, window_s: int) -> list[tuple[int, int]]:
    windows = []
    while start <= stop:
        end = min(start + window_s - 1, stop)
        windows.append((start, end))
        start = end + 1
    return windows
