"""When a call was answered, and which of its times can not be believed.

A PBX's clock may be wrong, and a caller has no part in it. What is refused, what waits and what is
read otherwise stands in docs/hostile-values.md.
"""

from datetime import UTC, datetime, timedelta

from ringfence_contracts.errors import Reject
from ringfence_contracts.events.call import CallCompleted

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""No call was made outside of these: the record is damaged."""

BELIEVED_FROM = datetime(2000, 1, 1, tzinfo=UTC)
"""A clock that was never set counts from 1970."""

BELIEVED_AHEAD = timedelta(days=1)
"""How far a PBX's clock may go ahead of ours, its zone mistaken included."""


def answered_at(call: CallCompleted) -> datetime:
    """The instant that decides tariff version and billing period.

    A call whose PBX recorded no answer, or one outside of the call itself, was answered when it
    started.
    """
    return believed_answer(call.started_at, call.answered_at, call.ended_at)


def believed_answer(started: datetime, answered: datetime | None, ended: datetime) -> datetime:
    """`answered`, if it is there and not outside of the call; else `started`."""
    if answered is None or not started <= answered <= ended:
        return started
    return answered


def check_times(call: CallCompleted) -> None:
    """Raise Reject for a call outside of all time."""
    if not (EARLIEST <= call.started_at < LATEST and EARLIEST <= call.ended_at < LATEST):
        raise Reject(
            f"started_at, ended_at: got {call.started_at.isoformat()} and"
            f" {call.ended_at.isoformat()}, expected instants from {EARLIEST.year} to"
            f" {LATEST.year - 1}"
        )


def disbelieved(call: CallCompleted, now: datetime) -> str | None:
    """Why a call must not be rated by the time that it carries; None where it may."""
    if call.started_at < BELIEVED_FROM:
        return f"it started at {call.started_at.isoformat()}: the PBX's clock was not set"
    if call.started_at > now + BELIEVED_AHEAD:
        return f"it started at {call.started_at.isoformat()}: the PBX's clock is ahead of ours"
    return None
