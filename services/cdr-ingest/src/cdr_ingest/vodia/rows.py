"""Reads a record of Vodia's list of calls into the event that rating needs: pure.

Vodia names no direction. A call with a trunk is outbound if an extension made it, else inbound; a
call without a trunk is local. Rating matches a call to a product by these fields:

- `extension`: the extension that made the call (outbound) or took it (inbound);
- `caller_destination`: the DID;
- `accountcode`, which Vodia does not have: for an inbound call, the called party's display name
  and every extension involved, so that a product's inbound search strings find them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Literal

from cdr_ingest.sources.fields import MAX_TEXT, free_text, identifier
from cdr_ingest.sources.source import BadRow, BLeg, SourceRecord
from cdr_ingest.vodia.party import Party, read_party
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.events.model import MAX_BILLSEC
from ringfence_contracts.ids import call_id
from ringfence_pbx.decimal_json import Json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = 946_684_800, 4_102_444_800
EXTENSION_DIGITS = range(3, 6)

Record = dict[str, Json]


@dataclass(frozen=True)
class Span:
    """The start, answer (None if unanswered) and end of a call, in Unix seconds."""

    start: Decimal
    connect: Decimal | None
    end: Decimal

    @property
    def billsec(self) -> int:
        """Seconds from answer to end, rounded up."""
        if self.connect is None:
            return 0
        return int((self.end - self.connect).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True)
class Sides:
    """The caller, the called party, and the extensions involved."""

    caller: Party
    called: Party
    extensions: tuple[str, ...]

    @property
    def calling_extension(self) -> str:
        """The extension that made the call; empty for a call from outside.

        A caller with three to five digits may be a short code of the carrier: where the record
        lists extensions and not this one, it called from outside.
        """
        number = self.caller.number
        known = {extension.lstrip("0") for extension in self.extensions}
        is_inside = number.lstrip("0") in known if known else looks_like_extension(number)
        return number if number and is_inside else ""

    @property
    def taking_extension(self) -> str:
        """The extension that took the call; empty if several could have."""
        others = tuple(e for e in self.extensions if e != self.calling_extension)
        if looks_like_extension(self.called.number):
            return self.called.number
        return others[0] if len(others) == 1 else ""


def read_record(server_id: str, tenant: str, record: Json, number: int) -> SourceRecord:
    """The `number`th record of a tenant's list: a call, or a bad row."""
    try:
        if not isinstance(record, dict):
            raise BadInput("record", record, "an object")
        return _call(server_id, tenant, record)
    except BadInput as error:
        return BadRow(server_id, tenant, written(record), number, str(error))


def way_out(call: CallCompleted, record: Json) -> BLeg | None:
    """The part of a listed call that came in by one trunk and left by another (ADR 56).

    The list shows neither the number that was called nor how long: the leg has no number, and the
    talk of the whole call.
    """
    if call.direction != "inbound" or not isinstance(record, dict):
        return None
    if len(_listed(record, "trunks")) < 2:
        return None
    name = f"{call.source_call_id} way out"
    changes = {
        "call_id": call_id(call.server_id, name),
        "source_call_id": name,
        "direction": "outbound",
        "destination_number": "",
        "leg": "b",
    }
    leg = call.model_copy(update=changes) if call.billsec else None
    return BLeg(call.server_id, call.tenant, name, call.source_call_id, leg)


def written(record: Json) -> bytes:
    """A record as bytes, the same bytes each time it is listed."""
    written = json.dumps(record, sort_keys=True, default=str, ensure_ascii=False)
    return written.encode("utf-8", "backslashreplace")


def _call(server_id: str, tenant: str, record: Record) -> CallCompleted:
    sides = Sides(
        caller=read_party(text(record, "from")),
        called=read_party(text(record, "to")),
        extensions=tuple(
            identifier("extensions", str(item)) for item in _listed(record, "extensions")
        ),
    )
    connect = record.get("connect")
    span = read_span(record.get("start"), connect, record.get("end"))
    has_trunk = bool(_listed(record, "trunks"))
    return make_call(
        server_id=server_id,
        tenant=tenant,
        source="vodia-pull",
        source_call_id=key(record, "call_id"),
        direction=_direction(has_trunk, sides),
        span=span,
        sides=sides,
        abandoned=str(record.get("abandoned", "")).lower() == "true",
    )


def _direction(has_trunk: bool, sides: Sides) -> Literal["inbound", "outbound", "local"]:
    if not has_trunk:
        return "local"
    return "outbound" if sides.calling_extension else "inbound"


def make_call(
    *,
    server_id: str,
    tenant: str,
    source: Literal["vodia-pull", "vodia-push"],
    source_call_id: str,
    direction: Literal["inbound", "outbound", "local"],
    span: Span,
    sides: Sides,
    abandoned: bool = False,
) -> CallCompleted:
    """The event of a call. A polled and a posted record of a call yield the same event."""
    inbound = direction == "inbound"
    search_texts = (sides.called.name, *sides.extensions) if inbound else ()
    return CallCompleted(
        call_id=call_id(server_id, source_call_id),
        server_id=server_id,
        tenant=tenant,
        source=source,
        source_call_id=source_call_id,
        direction=direction,
        started_at=_instant(span.start),
        answered_at=None if span.connect is None else _instant(span.connect),
        ended_at=_instant(span.end),
        billsec=span.billsec,
        caller_name=sides.caller.name,
        caller_number=free_text(sides.caller.number),
        caller_destination=identifier("to", sides.called.number),
        destination_number=identifier("to", sides.called.number),
        extension=sides.taking_extension if inbound else sides.calling_extension,
        accountcode=free_text(" ".join(filter(None, search_texts))),
        status="answered"
        if span.connect is not None
        else "abandoned"
        if abandoned
        else "no_answer",
    )


def read_span(start: Json, connect: Json, end: Json) -> Span:
    """The span of three times in Unix seconds. Raises BadInput for times that are no call."""
    began, ended = _epoch(start, "start"), _epoch(end, "end")
    answered = None if connect in (None, "", 0, "0", False) else _epoch(connect, "connect")
    if ended < (began if answered is None else max(began, answered)):
        raise BadInput("end", end, f"a time not before start ({start}) and connect ({connect})")
    span = Span(began, answered, ended)
    if span.billsec > MAX_BILLSEC:
        raise BadInput("end", end, f"at most {MAX_BILLSEC} s after connect ({connect})")
    return span


def _epoch(value: Json, field: str) -> Decimal:
    expected = "Unix seconds between the years 2000 and 2100"
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise BadInput(field, value, expected)
    try:
        epoch = Decimal(value)
    except InvalidOperation:
        raise BadInput(field, value, expected) from None
    if not epoch.is_finite() or not _EARLIEST <= epoch < _LATEST:
        raise BadInput(field, value, expected)
    return epoch


def _instant(epoch: Decimal) -> datetime:
    return _EPOCH + timedelta(microseconds=int(epoch * 1_000_000))


def key(record: Record, field: str) -> str:
    """A field that identifies the call. Raises BadInput if it is missing or cannot be an id."""
    value = record.get(field)
    name = str(value).strip() if isinstance(value, str | int) else ""
    if not name or len(name) > MAX_TEXT or not name.isprintable():
        raise BadInput(field, value, "the call's id")
    return name


def text(record: Record, field: str) -> str:
    """A text field; empty if it is missing or null. Raises BadInput for any other type."""
    value = record.get(field)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadInput(field, value, "text")
    return str(value)


def _listed(record: Record, field: str) -> Sequence[Json]:
    value = record.get(field)
    listed = [] if value in (None, "") else value
    if not isinstance(listed, list) or any(isinstance(item, dict | list) for item in listed):
        raise BadInput(field, value, "a list of ids")
    return [item for item in listed if item not in (None, "")]


def looks_like_extension(number: str) -> bool:
    """Whether a number has three to five digits, like the extensions of products."""
    return number.isascii() and number.isdecimal() and len(number) in EXTENSION_DIGITS
