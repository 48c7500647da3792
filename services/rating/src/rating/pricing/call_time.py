"""When a call was answered, and which of its times are implausible.

A PBX's clock may be wrong; callers do not control it. docs/hostile-values.md lists which values
are rejected, which make the call wait, and which are corrected.
"""

from datetime import UTC, datetime, timedelta

from ringfence_contracts.errors import Reject
from ringfence_contracts.events.call import CallCompleted

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""A call outside of these is a damaged record."""

PLAUSIBLE_FROM = datetime(2000, 1, 1, tzinfo=UTC)
"""An earlier start means a clock that was never set: such clocks count from 1970."""

MAX_CLOCK_AHEAD = timedelta(days=1)
"""How far a PBX's clock may be ahead of ours; covers a wrong time zone."""


def answered_at(call: CallCompleted) -> datetime:
    """The instant that decides tariff version and billing period.

    Where the PBX recorded no answer, or one before the start or after the end, it is the start.
    """
    return plausible_answer(call.started_at, call.answered_at, call.ended_at)


def plausible_answer(started: datetime, answered: datetime | None, ended: datetime) -> datetime:
    """`answered`, if it is present and within the call; else `started`."""
    if answered is None or not started <= answered <= ended:
        return started
    return answered


def check_times(call: CallCompleted) -> None:
    """Raise Reject for a call that starts or ends before EARLIEST, or at LATEST or after."""
    if not (EARLIEST <= call.started_at < LATEST and EARLIEST <= call.ended_at < LATEST):
        raise Reject(
            f"started_at, ended_at: got {call.started_at.isoformat()} and"
            f" {call.ended_at.isoformat()}, expected instants from {EARLIEST.year} to"
            f" {LATEST.year - 1}"
        )


def implausible_time(call: CallCompleted, now: datetime) -> str | None:
    """Why a call cannot be rated by its start time; None if it can."""
    if call.started_at < PLAUSIBLE_FROM:
        return f"it started at {call.started_at.isoformat()}: the PBX's clock was not set"
    if call.started_at > now + MAX_CLOCK_AHEAD:
        return f"it started at {call.started_at.isoformat()}: the PBX's clock is ahead of ours"
    return None
