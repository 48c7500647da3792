"""Reads what a Vodia PBX posts to its "CDR URL" when a call ends: pure.

`json` posts every leg separately. The leg with a TrunkID is the one that a carrier bills. The
others are the same call seen from a telephone, or a call without a trunk, which polling finds in
the list of calls. `webcdr` posts a call once, but no documented field says its direction or its
end, so this call is left to polling, too. A record that is left to polling is saved as a b leg
under an id of its own, so that it cannot be taken for the call.

The vendor does not document which posted field equals a listed record's `call_id`. Of an outbound
call's two legs, the trunk's has its own CallID, and both have the first leg's id as PrimaryCallID;
a listed record is one call, not one leg. So PrimaryCallID is used, unless the entry says CallID.

A call that comes in by one trunk and is forwarded out by another has two legs with a TrunkID and
one PrimaryCallID. The one that went out shows the caller from outside in `From`; so does that of an
outbound call which presents another number. So it is a leg that waits for its call (ADR 56).
"""

import re
from datetime import UTC, datetime
from typing import Literal

from cdr_ingest.sources.source import BadRow, BLeg
from cdr_ingest.vodia.party import read_party
from cdr_ingest.vodia.rows import (
    EXTENSION_DIGITS,
    Record,
    Sides,
    key,
    looks_like_extension,
    make_call,
    read_span,
    text,
)
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id
from ringfence_pbx.decimal_json import Json, read_json

CallKey = Literal["PrimaryCallID", "CallID"]
Pushed = CallCompleted | BLeg | BadRow

_DIRECTIONS: dict[str, Literal["inbound", "outbound"]] = {"I": "inbound", "O": "outbound"}
_COMPACT = re.compile(r"\d{14}", re.ASCII)


def parse_vodia_json(server_id: str, body: bytes, *, call_key: CallKey = "PrimaryCallID") -> Pushed:
    """One leg, posted by `json`: a call if it has a TrunkID, else a b leg; or a bad row."""
    tenant = "*"
    try:
        leg = _object(body)
        if leg.get("action") != "call-data-record":
            raise BadInput("action", leg.get("action"), "call-data-record")
        tenant = _tenant(leg, "Domain")
        if not text(leg, "TrunkID").strip():
            return BLeg(server_id, tenant, f"leg {key(leg, 'CallID')}")
        if call_key == "PrimaryCallID" and _may_be_forwarded(leg):
            return _way_out(server_id, tenant, leg)
        return _call(server_id, tenant, leg, call_key)
    except BadInput as error:
        return BadRow(server_id, tenant, body, 1, str(error))


def parse_vodia_webcdr(server_id: str, body: bytes) -> Pushed:
    """A call, posted by `webcdr`: a b leg, because polling finds the call; or a bad row."""
    tenant = "*"
    try:
        call = _object(body)
        tenant = _tenant(call, "domain")
        return BLeg(server_id, tenant, f"webcdr {key(call, 'callid')}")
    except BadInput as error:
        return BadRow(server_id, tenant, body, 1, str(error))


def _object(body: bytes) -> Record:
    try:
        content = read_json(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise BadInput("body", body[:80], "a JSON object")
    return content


def _tenant(record: Record, field: str) -> str:
    return key(record, field).lower()


def _may_be_forwarded(leg: Record) -> bool:
    """Whether a trunk's leg went out, was not the first of its call, and shows no extension as its
    caller."""
    primary, own = (text(leg, name).strip() for name in ("PrimaryCallID", "CallID"))
    caller = read_party(text(leg, "From")).number
    is_out = _DIRECTIONS.get(text(leg, "Direction").strip().upper()) == "outbound"
    return is_out and own != "" and primary not in ("", own) and len(caller) > max(EXTENSION_DIGITS)


def _way_out(server_id: str, tenant: str, leg: Record) -> BLeg:
    """The leg of a forwarded call, to be decided by the call that it names. One without talk too:
    then nothing is owed for the way out."""
    out = _call(server_id, tenant, leg, "CallID")
    name = f"leg {out.source_call_id}"
    named = {"call_id": call_id(server_id, name), "source_call_id": name, "leg": "b"}
    call = out.model_copy(update=named)
    return BLeg(server_id, tenant, name, key(leg, "PrimaryCallID"), call)


def _call(server_id: str, tenant: str, leg: Record, call_key: CallKey) -> CallCompleted:
    direction = _DIRECTIONS.get(text(leg, "Direction").strip().upper())
    if direction is None:
        raise BadInput("Direction", leg.get("Direction"), "I or O")
    has_key = text(leg, call_key).strip() != ""
    return make_call(
        server_id=server_id,
        tenant=tenant,
        source="vodia-push",
        source_call_id=key(leg, call_key if has_key else "CallID"),
        direction=direction,
        span=read_span(*(_time(leg, name) for name in ("TimeStart", "TimeConnected", "TimeEnd"))),
        sides=_sides(leg, direction),
    )


def _sides(leg: Record, direction: Literal["inbound", "outbound"]) -> Sides:
    """The parties in From and To; a missing number is taken from RemoteParty or LocalParty."""
    remote, local = read_party(text(leg, "RemoteParty")), read_party(text(leg, "LocalParty"))
    caller, called = read_party(text(leg, "From")), read_party(text(leg, "To"))
    outbound = direction == "outbound"
    caller = caller if caller.number else local if outbound else remote
    called = called if called.number else remote if outbound else local
    inside = (text(leg, "Extension").strip(), local.number)
    extensions = tuple(dict.fromkeys(e for e in inside if looks_like_extension(e)))
    if outbound and extensions and not Sides(caller, called, extensions).calling_extension:
        # The trunk's leg may show the number presented to the carrier, not the extension.
        caller = caller._replace(number=extensions[0])
    return Sides(caller, called, extensions)


def _time(leg: Record, field: str) -> Json:
    """Unix seconds, or UTC as 20261121102000 or in ISO 8601; the format is not documented."""
    value = leg.get(field)
    if not isinstance(value, str) or not value.strip():
        return value
    written = value.strip()
    try:
        if _COMPACT.fullmatch(written):
            instant = datetime.strptime(written, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        elif re.search(r"\d-\d", written):
            instant = datetime.fromisoformat(written)
        else:
            return written
    except ValueError:
        raise BadInput(field, value, "Unix seconds, or a time in UTC") from None
    return str((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp())
