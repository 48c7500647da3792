"""Decides whether a leg that left by a carrier is charged as a call of its own: pure.

FreeSWITCH makes a leg of its own (a b leg) for each telephone and each carrier that a call reaches.
The b leg of a normal outbound call and that of a forwarded call look the same; the leg that it
names, its origin, makes the difference:

| the origin | the leg |
|---|---|
| an outbound call | is paid for by this call, as far as it talked |
| an outbound call that was transferred, to another number | is charged |
| a call that came in, a local one, one without direction | is charged: it was forwarded |
| a b leg itself | is charged: that leg was transferred |

An outbound call that was transferred ends before its leg does, for example when an attended
transfer is completed. The call is charged with its own talk, the leg with the rest, so that each
second to the carrier is charged once.
"""

from dataclasses import dataclass
from uuid import UUID

from ringfence_contracts.events.call import CallCompleted

TOLERANCE_S = 2
"""Both ends of one call are answered and hung up within so many seconds."""

_TRANSFERRED = frozenset({"ATTENDED_TRANSFER", "BLIND_TRANSFER"})
_COMPARED_DIGITS = 7
_EXTENSION_DIGITS = range(2, 8)


@dataclass(frozen=True)
class Origin:
    """The leg that another one names. `call` is None for a b leg that was no call of its own.

    `first` is the call at the beginning of the chain of b legs, if it is known. `has_others`:
    whether further legs that name it are known, each with its number.
    """

    call_id: UUID
    call: CallCompleted | None
    first: CallCompleted | None = None
    has_others: bool = False

    @property
    def is_a_leg(self) -> bool:
        """Whether it is charged, or not billed, as a call of its own."""
        return self.call is not None and self.call.leg != "b"


def has_no_number(leg: CallCompleted) -> bool:
    """Whether a leg is only known to have left: its price depends on the legs that are posted."""
    return not leg.destination_number


def decide(leg: CallCompleted, origin: Origin) -> CallCompleted:
    """The leg with its decision: `charged`, with what its call pays for and the extension that
    caused it, or `part-of-call`. The same leg and origin give the same result.

    A leg without a number is decided by one that `has_others` alone.
    """
    call = origin.call
    if has_no_number(leg):
        assert origin.has_others, "it waits for the legs that have a number"
        return _with(leg, origin, "part-of-call", "the posted legs that left are charged", {})
    if call is None or not origin.is_a_leg:
        return _charged(leg, origin, 0, "it was dialled by a leg that was transferred")
    if call.direction != "outbound":
        came = "came in" if call.direction == "inbound" else "was forwarded"
        return _charged(leg, origin, 0, f"it was dialled for a call that {came}")
    if call.hangup_cause in _TRANSFERRED and not _same_number(leg, call):
        return _charged(leg, origin, 0, "the call was transferred to it")
    rest_s = leg.billsec - call.billsec
    if rest_s <= TOLERANCE_S:
        return _with(leg, origin, "part-of-call", "the outbound call that it belongs to pays", {})
    detail = f"it went on for {rest_s} s after its call of {call.billsec} s was transferred"
    return _charged(leg, origin, call.billsec, detail)


def waiting(
    leg: CallCompleted, originating_id: UUID | None, decision: str, detail: str
) -> CallCompleted:
    """The leg as it waits for its origin: `waits-for-leg`, or `leg-without-call`."""
    named = {
        "originating_call_id": originating_id,
        "leg_decision": decision,
        "leg_detail": detail,
    }
    return leg.model_copy(update=named)


def _charged(leg: CallCompleted, origin: Origin, paid_s: int, detail: str) -> CallCompleted:
    """The leg, charged to the extension that caused it, or to the number that was called."""
    call = origin.first or origin.call
    changes: dict[str, object] = {"paid_s": paid_s, "source_number": ""}
    if call is not None:
        extension, caller = _responsible(leg, call)
        changes |= {
            "tenant": call.tenant,
            "extension": extension,
            "source_number": caller,
            "caller_destination": call.caller_destination if call.direction == "inbound" else "",
            "accountcode": leg.accountcode or call.accountcode,
        }
    return _with(leg, origin, "charged", detail, changes)


def _with(
    leg: CallCompleted, origin: Origin, decision: str, detail: str, changes: dict[str, object]
) -> CallCompleted:
    named = {
        "originating_call_id": origin.call_id,
        "leg_decision": decision,
        "leg_detail": detail,
    }
    return leg.model_copy(update={"direction": "outbound", **changes, **named})


def _responsible(leg: CallCompleted, call: CallCompleted) -> tuple[str, str]:
    """The extension that forwarded or transferred, and the next best one.

    A local call has the extension that dialled; the one that was dialled has forwarded it.
    """
    if call.direction in ("inbound", "outbound"):
        return leg.extension or call.extension, call.extension
    dialled = call.destination_number
    is_extension = dialled.isdecimal() and len(dialled) in _EXTENSION_DIGITS
    own = leg.extension if leg.extension != call.extension else ""
    return own or (dialled if is_extension else call.extension), call.extension


def _same_number(leg: CallCompleted, call: CallCompleted) -> bool:
    """Whether both dialled the same number, perhaps with other prefixes."""
    ends = [
        "".join(filter(str.isdecimal, each.destination_number))[-_COMPARED_DIGITS:]
        for each in (leg, call)
    ]
    return ends[0] == ends[1]
