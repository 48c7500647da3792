"""Which of a package's time bands an instant belongs to. Pure.

A band begins on each of its days at `begins` and lasts until before `ends`, of the next day where
`ends` is not later: 18:00 to 08:00 is a night, 00:00 to 00:00 a whole day. Of two bands that have
an instant, the first in the package counts. The clock is the account's own, as it shows: in the
night when it is set back an hour counts twice, in the other one it is missing.
"""

from collections.abc import Sequence
from datetime import datetime

from ringfence_contracts.events.account import DAYS, TimeBand

_DAY = 24 * 60
_WEEK = len(DAYS) * _DAY


class TimeBands:
    """A package's bands by the minute of the week, which begins on Monday."""

    __slots__ = ("_band_of_minute",)

    def __init__(self, bands: Sequence[TimeBand]) -> None:
        self._band_of_minute = bytearray(_WEEK)
        for place in range(len(bands), 0, -1):
            band = bands[place - 1]
            begins, ends = _minutes(band.begins), _minutes(band.ends)
            length = (ends - begins) % _DAY or _DAY
            for day in band.days:
                self._fill(DAYS.index(day) * _DAY + begins, length, place)

    def place(self, local: datetime) -> int | None:
        """The place in the package of the band that a local time belongs to; None: of none."""
        minute = local.weekday() * _DAY + local.hour * 60 + local.minute
        return self._band_of_minute[minute] - 1 if self._band_of_minute[minute] else None

    def _fill(self, start: int, length: int, place: int) -> None:
        """Sunday's night ends on Monday: the week is a ring."""
        over = max(0, start + length - _WEEK)
        self._band_of_minute[start : start + length - over] = bytes([place]) * (length - over)
        self._band_of_minute[:over] = bytes([place]) * over


def _minutes(clock: str) -> int:
    """Minutes after midnight of `18:30`."""
    return int(clock[:2]) * 60 + int(clock[3:])
