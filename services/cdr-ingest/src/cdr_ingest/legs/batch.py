"""What becomes of the legs of a batch of records, before the batch is published."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from cdr_ingest.legs.decision import Origin, decide, has_no_number, waiting
from cdr_ingest.legs.store import LegRow
from cdr_ingest.sources.source import BLeg
from ringfence_contracts.events.call import CallCompleted

QUEUE_AFTER = timedelta(seconds=10)
"""So long a leg waits in silence: normally its call comes within a second."""

GIVE_UP_AFTER = timedelta(minutes=15)
"""So long a leg waits for its call; then it is unrated, and an operator is to look at it."""

KEPT_LOOKING = timedelta(hours=48)
"""After that, the call of a leg that was given up is not looked for any more."""

_WAITS = "the call that it names is not known yet; it is charged, or not, by what that call was"
_WAITS_FOR_NUMBER = (
    "the call came in by one trunk and left by another, and the list of calls does not show the"
    " number: it waits for the leg that the PBX posts"
)
_NO_CALL = (
    "the call that it names, or the one that was transferred to it, did not come within 15 minutes:"
    " see that the PBX sends both legs, and what became of that call"
)
_NO_NUMBER = (
    "the call came in by one trunk and left by another, and the PBX's list of calls does not show"
    " the number that was called: have the PBX post its calls (docs/vodia.md, section Two trunks),"
    " and charge this call by hand"
)
_NAMES_NONE = (
    "the source does not say to which call it belongs: FusionPBX's export must show"
    " originating_leg_uuid (ringfence server sign-export), or read the database, or use push"
)


@dataclass
class LegOutcome:
    """What is to be published under which key, and what is to be saved."""

    publish: list[tuple[CallCompleted, str]] = field(default_factory=list)
    rows: list[LegRow] = field(default_factory=list)
    paid_for: list[UUID] = field(default_factory=list)


def new_leg(record: BLeg, call: CallCompleted, now: datetime) -> LegRow:
    """A leg that was read for the first time."""
    return LegRow(call, record.origin_id, f"{call.server_id}:{call.tenant}", "waiting", now)


def look_at(legs: Sequence[LegRow], origins: dict[UUID, Origin], now: datetime) -> LegOutcome:
    """Decide the legs whose origins are known; queue, give up or postpone the others.

    Idempotent: the same legs and origins give the same events.
    """
    outcome = LegOutcome()
    for leg in legs:
        origin = origins.get(leg.originating_id) if leg.originating_id else None
        no_number = has_no_number(leg.call)
        if origin is not None and (origin.has_others or not no_number):
            _decided(outcome, leg, decide(leg.call, origin), now)
        elif leg.state == "given-up":
            outcome.rows.append(replace(leg, next_look_at=_next_look(leg, now)))
        elif leg.originating_id is None or now - leg.noted_at >= GIVE_UP_AFTER:
            _queued(outcome, leg, "given-up", _why_given_up(leg), now)
        elif leg.state == "waiting" and now - leg.noted_at >= QUEUE_AFTER:
            _queued(outcome, leg, "queued", _WAITS_FOR_NUMBER if no_number else _WAITS, now)
        else:
            outcome.rows.append(replace(leg, next_look_at=_next_look(leg, now)))
    return outcome


def _why_given_up(leg: LegRow) -> str:
    if leg.originating_id is None:
        return _NAMES_NONE
    return _NO_NUMBER if has_no_number(leg.call) else _NO_CALL


def _decided(outcome: LegOutcome, leg: LegRow, decided: CallCompleted, now: datetime) -> None:
    is_charged = decided.leg_decision == "charged"
    if not is_charged and leg.queued_at is None:
        outcome.paid_for.append(leg.call.call_id)
        return
    outcome.publish.append((decided, leg.message_key))
    outcome.rows.append(
        replace(
            leg,
            state=decided.leg_decision,
            charged_s=decided.billsec - decided.paid_s if is_charged else 0,
            decided_at=now,
            next_look_at=None,
        )
    )


def _queued(outcome: LegOutcome, leg: LegRow, state: str, detail: str, now: datetime) -> None:
    decision = "waits-for-leg" if state == "queued" else "leg-without-call"
    outcome.publish.append(
        (waiting(leg.call, leg.originating_id, decision, detail), leg.message_key)
    )
    queued = replace(leg, state=state, queued_at=leg.queued_at or now)
    outcome.rows.append(replace(queued, next_look_at=_next_look(queued, now)))


def _next_look(leg: LegRow, now: datetime) -> datetime | None:
    """Soon at first, then rarely; never for a leg that names no call."""
    if leg.originating_id is None or now - leg.noted_at > KEPT_LOOKING:
        return None
    if leg.state == "given-up":
        return now + timedelta(minutes=1)
    return now + timedelta(seconds=1 if leg.state == "waiting" else 3)
