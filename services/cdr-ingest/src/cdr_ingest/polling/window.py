"""Which windows of call starts to ask a source for: pure.

A PBX lists calls by their start, and only after their end. So a call appears at an age of its own
length and the time that the PBX needs to store it. Each poll reads the calls that began in the last
quarter of an hour. Older ones are read in bands, each twice as old as the one before and read half
as often: a call is found soon after its end, in proportion to its length.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_RECENT_S = 900
_BESIDE_LAG_S = 600
_COMMIT_S = 60
_CLOCK_DIFFERENCE_S = 120
"""Windows end this far in the future: the clock of a PBX may be ahead of ours."""

_RINGING_S = 300
"""A source's length of a call may leave out the time for which it rang, up to this."""


class Listing(StrEnum):
    """By what a source can select calls."""

    BY_LENGTH = "by-length"
    """By their start, and only those of a least length."""

    BY_START = "by-start"
    """By their start. A read goes from the newest call back to the window's start."""

    BY_ARRIVAL = "by-arrival"
    """By the time when a record was stored, whatever the length of the call."""


_READS_PER_AGE = {Listing.BY_LENGTH: 60, Listing.BY_START: 15}
"""How often a band is read while a call in it grows by the band's own age."""


@dataclass(frozen=True)
class LookbackSettings:
    """The settings of a feed's windows, in seconds.

    A feed that was never read begins `look_back_s` ago; from then on calls of up to twice that are
    found, each at most `sweep_every_s` after it was listed. A source may take `lag_s` to list an
    ended call. At most `window_s` of recent calls are asked for at once.
    """

    look_back_s: int
    sweep_every_s: int
    lag_s: int
    window_s: int
    listing: Listing = Listing.BY_LENGTH

    @property
    def first_s(self) -> int:
        """How far back the first read goes."""
        return self.look_back_s + self.lag_s

    @property
    def recent_s(self) -> int:
        """How far each poll looks back from the one before."""
        if self.listing is Listing.BY_ARRIVAL:
            return max(_COMMIT_S, self.lag_s)
        return max(_RECENT_S, self.lag_s + _BESIDE_LAG_S)

    def bands(self) -> tuple["Band", ...]:
        """The bands of older calls, the youngest first."""
        if self.listing is Listing.BY_ARRIVAL:
            return ()
        oldest_s, bands, age_s = 2 * self.look_back_s + self.lag_s, [], self.recent_s
        while age_s < oldest_s:
            until_s = min(2 * age_s, oldest_s)
            every_s = max(1, age_s // _READS_PER_AGE[self.listing])
            bands.append(Band(age_s, until_s, min(self.sweep_every_s, every_s)))
            age_s = until_s
        return tuple(bands)


@dataclass(frozen=True)
class Band:
    """Calls that are listed at an age of `from_s` to `until_s`; read again after `every_s`."""

    from_s: int
    until_s: int
    every_s: int


@dataclass(frozen=True)
class Cursor:
    """How far a feed was read, in Unix seconds.

    All calls that were listed before `swept_at`, and are not too long to be found, were read.
    `read_from` is the start of the first window ever read: calls that began before it are read
    only if they ended later.
    """

    read_until: int
    swept_at: int = 0
    read_from: int = 0


@dataclass(frozen=True)
class StartWindow:
    """A window of call starts, both ends inclusive, and which bands are read when it is.

    Calls that are shorter than `least_s` may be left out.
    """

    start: int
    stop: int
    bands: tuple[Band, ...] = ()
    least_s: int = 0


@dataclass(frozen=True)
class PollPlan:
    """The windows to read, in their order: recent calls from old to new, then bands."""

    windows: tuple[StartWindow, ...]


LookedAt = Mapping[Band, int]
"""When each band was last read, in Unix seconds. A band without a time: at the cursor's sweep."""


def plan_windows(
    cursor: Cursor | None, now: int, lookback: LookbackSettings, looked_at: LookedAt
) -> PollPlan:
    """The windows to read now."""
    stop = now + _CLOCK_DIFFERENCE_S
    if cursor is None:
        every_band = lookback.bands()
        return PollPlan(_split(now - lookback.first_s, stop, lookback.window_s, every_band))
    due = {
        band: min(at, now)
        for band in lookback.bands()
        if not 0 <= now - (at := looked_at.get(band, cursor.swept_at)) < band.every_s
    }
    # A call of a band that was not listed when the band was last read cannot have begun earlier.
    starts = {band: at - band.until_s for band, at in due.items()}
    recent = min(cursor.read_until, now) - lookback.recent_s
    if lookback.listing is not Listing.BY_LENGTH:
        recent = min([recent, *starts.values()])
        return PollPlan(_split(recent, stop, lookback.window_s, tuple(due)))
    older = [
        StartWindow(
            max(1, start),
            min(now - band.from_s, recent - 1),
            (band,),
            max(0, band.from_s - lookback.lag_s - _RINGING_S),
        )
        for band, start in starts.items()
    ]
    asked = [window for window in older if window.start <= window.stop]
    within_recent = tuple(w.bands[0] for w in older if w.start > w.stop)
    return PollPlan((*_split(recent, stop, lookback.window_s, within_recent), *asked))


def advanced(
    cursor: Cursor | None,
    plan: PollPlan,
    window: StartWindow,
    now: int,
    lookback: LookbackSettings,
    looked_at: LookedAt,
) -> Cursor:
    """The cursor after `window`, one of the plan's windows, was read. `now` is the plan's time.

    `looked_at` includes what was read with the window. The cursor moves after each window, so that
    an interrupted catch-up continues where it stopped. No value decreases.
    """
    if cursor is None:
        # Of calls that began before the first window, only those that end from now on are wanted.
        first = plan.windows[0].start
        return Cursor(min(window.stop, now), swept_at=now, read_from=max(1, first))
    read_until = max(cursor.read_until, min(window.stop, now))
    bands = lookback.bands()
    swept_at = min([looked_at.get(b, cursor.swept_at) for b in bands], default=read_until)
    return Cursor(
        read_until=read_until,
        swept_at=max(cursor.swept_at, min(swept_at, now)),
        read_from=cursor.read_from,
    )


def _split(
    start: int, stop: int, window_s: int, bands: tuple[Band, ...]
) -> tuple[StartWindow, ...]:
    """Adjacent windows of at most `window_s`. The bands are read when the last of them is."""
    windows = []
    start = max(1, start)
    while start <= stop:
        end = min(start + window_s - 1, stop)
        windows.append(StartWindow(start, end, bands if end == stop else ()))
        start = end + 1
    return tuple(windows)
