"""A call that is posted again with other values: a sender must not make a call cheaper unnoticed.

The first post is the one that counts. An altered one becomes a dead letter whose reason names what
differs. Only posts are compared, and with posts: the lists of a PBX are read again on purpose, and
have other texts than its posts. Pure.
"""

from typing import Any

from cdr_ingest.sources.source import BadRow, SourceRecord
from ringfence_contracts.events.call import CallCompleted

_POSTS = ("freeswitch-push", "vodia-push")
_COMPARED = (
    "tenant", "direction", "leg", "extension", "destination_number", "caller_destination",
    "started_at", "billsec",
)  # fmt: skip


def posted_call(record: SourceRecord) -> CallCompleted | None:
    """The call of a record, if it was posted; None for others, and for legs: they are decided."""
    return record if isinstance(record, CallCompleted) and record.source in _POSTS else None


def facts_of(call: CallCompleted) -> tuple[Any, ...]:
    """What decides the price of a call, and who pays."""
    return tuple(getattr(call, name) for name in _COMPARED)


def altered_post(call: CallCompleted, before: CallCompleted | None) -> BadRow | None:
    """The dead letter of a call that was accepted `before`; None if it says the same.

    Without `before`, the earlier post said that it is a leg of another call, and was not charged.
    """
    if before is None:
        differences = "it was a leg of another call then, and is charged to nobody"
    else:
        if before.source not in _POSTS or facts_of(call) == facts_of(before):
            return None
        differences = ", ".join(
            f"{name} got {getattr(call, name)}, expected {getattr(before, name)}"
            for name in _COMPARED
            if getattr(call, name) != getattr(before, name)
        )
    reason = f"call {call.source_call_id} was posted before with other values: {differences}"
    return BadRow(call.server_id, call.tenant, call.to_json(), 0, reason)
