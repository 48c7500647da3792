"""Reads a record that FreeSWITCH's CDR modules post, as FusionPBX would store it: pure.

Polling reads the same call from the row that FusionPBX's importer makes of the same channel. Both
records must be equal, because rating rejects a second record with other content. So these are the
importer's rules, as in its source code of version 5.5:

| the row's column | taken from |
|---|---|
| xml_cdr_uuid | variable `uuid`, else `call_uuid`; in lower case |
| domain_name | `domain_name`, else `dialed_domain`, `sip_invite_domain`, `sip_req_host` |
| direction | `call_direction`; `inbound` where `cc_side` is `agent` |
| destination_number | first call flow's `caller_profile`, less what `provider_prefix` names |
| caller_destination | `sip_h_caller_destination`, else `caller_destination`, `dialed_user` |
| billsec | `billsec` |
| start, answer, end | `*_epoch`; the `*_stamp` variables are in the switch's time zone |
| caller_id_name, caller_id_number | see `_caller` |
| source_number | `effective_caller_id_number` |
| extension | `user_name`, else `dialed_user`, of a call that has an `extension_uuid` |
| accountcode, hangup_cause, sip_call_id | the variable of that name |

`ani_ii` is the caller profile's `aniii`: the importer does not read it, so no row has it.

FreeSWITCH URL-encodes the values of variables but not those of the caller profile. The importer
decodes both; PHP turns `+` into a space, which is trimmed when the row is saved. So a dialled
+14165550100 is 14165550100 in `destination_number`, in the row as well as here, so that both are
one record. That a `+` was dialled is kept in `lost_prefix`: without it, +960 333 1234 (Maldives)
is ten digits like those of North America.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, cast
from urllib.parse import unquote, unquote_plus

from cdr_ingest.freeswitch.status import call_status
from cdr_ingest.sources import fields
from cdr_ingest.sources.legs import is_carrier_number
from cdr_ingest.sources.source import BLeg, SourceRecord
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted, Direction
from ringfence_contracts.ids import call_id

_TENANT = ("domain_name", "dialed_domain", "sip_invite_domain", "sip_req_host")
_DIRECTIONS = ("inbound", "outbound", "local", "")


@dataclass(frozen=True)
class Cdr:
    """The parts of a posted record that are used.

    `variables` are the channel's, as in the document; `encoded` says whether their values are still
    URL-encoded. `profile` is the caller profile of the first call flow. It has an originator
    (`has_originator`) where another channel created this one: a b leg. `repeated` names the
    variables that occur more than once.
    """

    variables: Mapping[str, object]
    profile: Mapping[str, object] = field(default_factory=dict)
    has_originator: bool = False
    encoded: bool = True
    repeated: frozenset[str] = frozenset()

    def get(self, name: str) -> str:
        """A variable, decoded and trimmed; empty where there is none.

        Raises BadInput if it is not text, or occurs more than once.
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

    def as_written(self, name: str) -> str:
        """A value of the caller profile as FreeSWITCH wrote it, which encodes none; trimmed."""
        return _text(f"caller_profile.{name}", self.profile.get(name, "")).strip()


def read_record(cdr: Cdr, *, server_id: str, posted_uuid: str, is_b_leg: bool) -> SourceRecord:
    """The call in a posted record, or a leg of another call. Raises BadInput.

    `posted_uuid` is the id in the request's query, empty if it has none. It is the id of the
    channel that reports. If the record's `uuid` is another one, the record is a b leg of that call.
    """
    tenant = _tenant(cdr)
    uuid = fields.call_uuid("uuid", cdr.first("uuid", "call_uuid"))
    reporting = fields.call_uuid("uuid of the query", posted_uuid) if posted_uuid else uuid
    is_b_leg = is_b_leg or cdr.has_originator or reporting != uuid
    named = uuid if reporting != uuid else _origin(cdr, uuid, is_b_leg=is_b_leg)
    if named is None:
        return _call(cdr, server_id, tenant, uuid, "a")
    call = None
    if _left_by_carrier(cdr, is_b_leg=is_b_leg) and cdr.get("billsec") != "0":
        call = _call(cdr, server_id, tenant, reporting, "b")
    return BLeg(server_id, tenant, reporting, named, call)


def _origin(cdr: Cdr, uuid: str, *, is_b_leg: bool) -> str | None:
    """The leg that this one names, empty if it names none; None for a call of its own.

    A member of a ring group has an a leg of its own that names the first; so has an agent of a
    queue. An outbound a leg is a call of its own always: it may be the only one that is recorded.
    """
    member = cdr.get("cc_member_session_uuid").lower()
    if cdr.get("cc_side") == "agent" and fields.is_uuid(member):
        return member
    names = ("originating_leg_uuid", *(("call_uuid", "originator") if is_b_leg else ()))
    named = (cdr.get(name).lower() for name in names)
    origin = next((name for name in named if fields.is_uuid(name) and name != uuid), "")
    if is_b_leg:
        return origin
    return origin if origin and cdr.get("call_direction") != "outbound" else None


def _left_by_carrier(cdr: Cdr, *, is_b_leg: bool) -> bool:
    """Whether a leg left by a carrier: by a gateway, else by its profile, direction and number."""
    channel = cdr.get("channel_name")
    if channel.startswith("loopback/"):
        return False  # the leg behind it leaves, and has a record of its own
    if is_b_leg and (cdr.get("sip_gateway_name") or channel.startswith("sofia/external/")):
        return True
    if not is_carrier_number(_destination(cdr)[0]):
        return False
    if cdr.get("cc_side") == "agent":
        return not cdr.get("extension_uuid")
    return is_b_leg and cdr.get("call_direction") == "outbound"


def _call(
    cdr: Cdr, server_id: str, tenant: str, uuid: str, leg: Literal["a", "b"]
) -> CallCompleted:
    started_at = fields.instant("start_epoch", cdr.get("start_epoch"))
    billsec = fields.seconds("billsec", cdr.get("billsec"))
    destination, lost_prefix = _destination(cdr)
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
        leg=leg,
        sip_call_id=fields.free_text(cdr.get("sip_call_id")),
        lost_prefix=lost_prefix,
        ani_ii=_ani_ii(cdr),
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
    """When the call ended; without `end_epoch`, its start plus the billed seconds."""
    ended_at = fields.instant_or_never("end_epoch", cdr.get("end_epoch"))
    if ended_at is None:
        return started_at + timedelta(seconds=billsec)
    if ended_at < started_at:
        raise BadInput("end_epoch", cdr.get("end_epoch"), f"a time not before {started_at}")
    return ended_at


def _destination(cdr: Cdr) -> tuple[str, Literal["+", ""]]:
    """The number as in FusionPBX's row, and the `+` with which it was dialled and which it lacks.

    A `+` before a provider's prefix does not make the number behind it complete.
    """
    number = fields.identifier("destination_number", cdr.profiled("destination_number"))
    without_prefix = number.removeprefix(cdr.get("provider_prefix"))
    plus_is_lost = cdr.as_written("destination_number").startswith("+") and number[:1] != "+"
    return without_prefix, "+" if plus_is_lost and without_prefix == number else ""


def _dialled(cdr: Cdr) -> str:
    name = "sip_h_caller_destination"
    if name not in cdr.variables:
        name = "caller_destination" if "caller_destination" in cdr.variables else "dialed_user"
    return fields.identifier(name, cdr.get(name))


def _extension(cdr: Cdr) -> str:
    """The extension's number. FusionPBX looks it up by its uuid; the channel has its name."""
    if not cdr.get("extension_uuid"):
        return ""
    return fields.identifier("user_name", cdr.first("user_name", "dialed_user"))


def _ani_ii(cdr: Cdr) -> str:
    """The ANI II digits; empty where there are none: odd ones must not block a call."""
    value = cdr.profile.get("aniii", "")
    digits = value.strip() if isinstance(value, str) else ""
    return digits if len(digits) == 2 and digits.isascii() and digits.isdigit() else ""


def _caller(cdr: Cdr, part: str, from_outside: str) -> str:
    """The caller: from SIP for a call from another domain, else from the caller profile.

    Versions of FusionPBX differ here, but no charge depends on it.
    """
    outside = cdr.get("sip_from_domain") not in ("", cdr.get("domain_name"))
    if outside and (from_sip := cdr.get(from_outside)):
        return from_sip
    profiled = cdr.profiled(f"caller_id_{part}")
    set_later = ("origination_caller_id", "effective_caller_id", "caller_id")
    return profiled or cdr.first(*(f"{name}_{part}" for name in set_later), from_outside)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadInput(name, value, "text")
    return value
