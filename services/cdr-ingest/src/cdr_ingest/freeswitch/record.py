"""FreeSWITCH: a call record that its CDR modules posted, read as FusionPBX would store it: pure.

The same call also comes by the pull, from the row that FusionPBX's importer made of the same
channel. Both must say the same, or rating refuses the second as a contradiction. So the importer's
rules stand here, read in its source as of 5.5:

| the row's column | taken from |
|---|---|
| xml_cdr_uuid | variable `uuid`, else `call_uuid`; in lower case |
| domain_name | `domain_name`, else `dialed_domain`, `sip_invite_domain`, `sip_req_host` |
| direction | `call_direction`; `inbound` where `cc_side` is `agent` |
| destination_number | first call flow's `caller_profile`, less what `provider_prefix` names |
| caller_destination | `sip_h_caller_destination`, else `caller_destination`, `dialed_user` |
| billsec | `billsec` |
| start, answer, end | `*_epoch`; the `*_stamp` variables are in the switch's own zone |
| caller_id_name, caller_id_number | see `_caller` |
| source_number | `effective_caller_id_number` |
| extension | `user_name`, else `dialed_user`, of a call that has an `extension_uuid` |
| accountcode, hangup_cause, sip_call_id | the variable of that name |

FreeSWITCH URL-encodes the values of variables but not those of the caller profile; the importer
decodes both, and PHP makes a space of `+`, which is trimmed when the row is saved. So a number that
was dialled as +14165550100 is 14165550100 in `destination_number`, here as there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast
from urllib.parse import unquote, unquote_plus

from cdr_ingest.freeswitch.status import call_status
from cdr_ingest.sources import fields
from cdr_ingest.sources.source import BLeg, SourceRecord
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted, Direction
from ringfence_contracts.ids import call_id

_TENANT = ("domain_name", "dialed_domain", "sip_invite_domain", "sip_req_host")
_DIRECTIONS = ("inbound", "outbound", "local", "")


@dataclass(frozen=True)
class Cdr:
    """A posted record, as far as it is used.

    `variables` are the channel's, as they stand in the document, with `encoded` saying whether
    their values are still URL-encoded; `profile` is the caller profile of the first call flow.
    FreeSWITCH writes an originator into it where another channel set this one off: a b leg.
    `repeated` names the variables that were given more than once.
    """

    variables: Mapping[str, object]
    profile: Mapping[str, object] = field(default_factory=dict)
    has_originator: bool = False
    encoded: bool = True
    repeated: frozenset[str] = frozenset()

    def get(self, name: str) -> str:
        """A variable, decoded and trimmed; empty where there is none.

        Raises BadInput when it is no text, or was given more than once.
        """
        if name in self.repeated:
            raise BadInput(name, "more than one value", "one")
        text = _text(name, self.variables.get(name, ""))
        return (unquote(text) if self.encoded and "%" in text else text).strip()

    def first(self, *names: str) -> str:
        """The first of these variables that is not empty."""
        return next(filter(None, map(self.get, names)), "")

    def profiled(self, name: str) -> str:
        """A value of the caller profile, decoded as FusionPBX does, and trimmed."""
        return unquote_plus(_text(f"caller_profile.{name}", self.profile.get(name, ""))).strip()


def read_record(cdr: Cdr, *, server_id: str, posted_uuid: str, is_b_leg: bool) -> SourceRecord:
    """What a posted record says: a call, or a b leg, which is not billed.

    `posted_uuid` is the id in the request's query, empty if there was none: it is the reporting
    channel's, so with a `uuid` of another channel in the record, it is another leg of that call.
    Raises BadInput.
    """
    tenant = _tenant(cdr)
    uuid = fields.call_uuid("uuid", cdr.first("uuid", "call_uuid"))
    reporting = fields.call_uuid("uuid of the query", posted_uuid) if posted_uuid else uuid
    if is_b_leg or cdr.has_originator or reporting != uuid:
        return BLeg(server_id, tenant, reporting)
    return _call(cdr, server_id, tenant, uuid)


def _call(cdr: Cdr, server_id: str, tenant: str, uuid: str) -> CallCompleted:
    started_at = fields.instant("start_epoch", cdr.get("start_epoch"))
    billsec = fields.seconds("billsec", cdr.get("billsec"))
    destination = _destination(cdr)
    return CallCompleted(
        call_id=call_id(server_id, uuid),
        server_id=server_id,
        tenant=tenant,
        source="freeswitch-push",
        source_call_id=uuid,
        direction=_direction(cdr),
        started_at=started_at,
        answered_at=fields.instant_or_never("answer_epoch", cdr.get("answer_epoch")),
        ended_at=_end(cdr, started_at, billsec),
        billsec=billsec,
        caller_name=fields.free_text(_caller(cdr, "name", "sip_from_display")),
        caller_number=fields.free_text(_caller(cdr, "number", "sip_from_user")),
        caller_destination=_dialled(cdr),
        destination_number=destination,
        source_number=fields.free_text(cdr.get("effective_caller_id_number")),
        extension=_extension(cdr),
        accountcode=fields.identifier("accountcode", cdr.get("accountcode")),
        status=call_status(cdr.get, billsec, destination),
        hangup_cause=fields.free_text(cdr.get("hangup_cause")),
        leg="a",
        sip_call_id=fields.free_text(cdr.get("sip_call_id")),
    )


def _tenant(cdr: Cdr) -> str:
    tenant = fields.identifier("domain_name", cdr.first(*_TENANT))
    if not tenant:
        raise BadInput("domain_name", "", "a name")
    return tenant


def _direction(cdr: Cdr) -> Direction:
    if cdr.get("cc_side") == "agent":
        return "inbound"
    direction = cdr.get("call_direction")
    if direction not in _DIRECTIONS:
        raise BadInput("call_direction", direction, "inbound, outbound, local, or nothing")
    return cast(Direction, direction)


def _end(cdr: Cdr, started_at: datetime, billsec: int) -> datetime:
    """When the call ended; without `end_epoch`, as long after its start as it was billed."""
    ended_at = fields.instant_or_never("end_epoch", cdr.get("end_epoch"))
    if ended_at is None:
        return started_at + timedelta(seconds=billsec)
    if ended_at < started_at:
        raise BadInput("end_epoch", cdr.get("end_epoch"), f"a time not before {started_at}")
    return ended_at


def _destination(cdr: Cdr) -> str:
    number = fields.identifier("destination_number", cdr.profiled("destination_number"))
    return number.removeprefix(cdr.get("provider_prefix"))


def _dialled(cdr: Cdr) -> str:
    name = "sip_h_caller_destination"
    if name not in cdr.variables:
        name = "caller_destination" if "caller_destination" in cdr.variables else "dialed_user"
    return fields.identifier(name, cdr.get(name))


def _extension(cdr: Cdr) -> str:
    """The extension's number. FusionPBX looks it up by its uuid; the channel knows it by name."""
    if not cdr.get("extension_uuid"):
        return ""
    return fields.identifier("user_name", cdr.first("user_name", "dialed_user"))


def _caller(cdr: Cdr, part: str, from_outside: str) -> str:
    """Who called: what SIP said where the call came from another domain, else the profile.

    Versions of FusionPBX differ in this; it is not what a charge hangs on.
    """
    outside = cdr.get("sip_from_domain") not in ("", cdr.get("domain_name"))
    if outside and (said := cdr.get(from_outside)):
        return said
    profiled = cdr.profiled(f"caller_id_{part}")
    set_later = ("origination_caller_id", "effective_caller_id", "caller_id")
    return profiled or cdr.first(*(f"{name}_{part}" for name in set_later), from_outside)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadInput(name, value, "text")
    return value
