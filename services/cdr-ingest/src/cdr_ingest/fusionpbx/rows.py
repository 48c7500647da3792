"""Reads the rows of a FusionPBX export: pure.

Values are in double quotes that are not escaped inside a value (`"Sales "West""`), so a row can
only be split at `","`. A value that contains `","` yields too many columns; a value that ends in
`",` or begins with `,"` makes a boundary ambiguous. Such a row is refused as a whole, because its
values cannot be assigned to columns. A value may also contain line breaks, and so a whole row of
its own: that a row can be read does not mean that the PBX holds such a call (ADR 37).

`sources.fields` says which odd text is cleaned and which is refused: the id of the call, the
tenant, the billed numbers, extension and account code must be clean.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

from cdr_ingest.sources import fields
from cdr_ingest.sources.legs import is_carrier_number
from cdr_ingest.sources.source import ALL_TENANTS, BadRow, BLeg, SourceRecord
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted, Direction
from ringfence_contracts.ids import call_id

REQUIRED = frozenset(
    {
        *("xml_cdr_uuid", "direction", "start_epoch", "billsec"),
        *("destination_number", "caller_destination", "leg"),
    }
)
"""The columns without which a call cannot be billed correctly; the others are optional."""

_AMBIGUOUS = '",","'
_DIRECTIONS = ("inbound", "outbound", "local", "")
_LEGS = ("a", "b", "")


_ROW_BEGINS = re.compile(rb'"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}","', re.IGNORECASE)


def split_line(line: bytes) -> list[str]:
    """The values of one row. Bytes that are not UTF-8 become U+FFFD.

    Raises BadInput when the row does not begin and end with a quote, or is ambiguous.
    """
    return split_text(line.decode("utf-8", "replace"))


def split_text(text: str) -> list[str]:
    """As `split_line`, of a row that was decoded."""
    text = text.rstrip("\r\n")
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        raise BadInput("line", text, "values in double quotes, from the first to the last")
    inner = text[1:-1]
    if (at := inner.find(_AMBIGUOUS)) >= 0:
        around = inner[max(0, at - 20) : at + 25]
        raise BadInput("line", around, 'no value that begins with ," or ends in ",')
    return inner.split('","')


class ExportRows:
    """The rows below one header. Columns are found by name: they vary by version and rights.

    `tenant` is the tenant whose export was requested; it is used for rows without `domain_name`.
    None for an export of all tenants. Raises BadInput when a required column is missing.
    """

    def __init__(self, header: bytes, *, server_id: str, tenant: str | None) -> None:
        self.names = tuple(split_line(header))
        missing = sorted(REQUIRED - set(self.names))
        if missing:
            raise BadInput(
                "columns of the export",
                ", ".join(self.names),
                f"{', '.join(missing)} as well; the key's user needs the right to see them",
            )
        self._server_id = server_id
        self._tenant = tenant

    def begins(self, line: bytes) -> bool:
        """Whether a line can be the first one of a row; others continue a text with line breaks."""
        return self.names[0] != "domain_uuid" or _ROW_BEGINS.match(line) is not None

    def values(self, row: bytes) -> dict[str, str] | None:
        """The values by column; None if they cannot be assigned."""
        try:
            values = split_line(row)
        except BadInput:
            return None
        if len(values) != len(self.names):
            return None
        return dict(zip(self.names, values, strict=True))

    def value_of(self, values: Sequence[str], column: str) -> str:
        """The value of a column, which must exist."""
        return values[self.names.index(column)]

    def record(self, values: Sequence[str], raw: bytes, number: int) -> SourceRecord:
        """The record of a row's values, one for each column."""
        row = dict(zip(self.names, values, strict=True))
        return read_row(row, server_id=self._server_id, tenant=self._tenant, raw=raw, number=number)

    def read(self, line: bytes, number: int) -> SourceRecord:
        """The record of a row, whose first line is the body's `number`th."""
        try:
            values = split_line(line)
            if len(values) != len(self.names):
                raise BadInput("columns", len(values), f"{len(self.names)}, as in the header")
        except BadInput as error:
            return BadRow(self._server_id, self._tenant or ALL_TENANTS, line, number, str(error))
        return self.record(values, line, number)


def read_row(
    row: dict[str, str], *, server_id: str, tenant: str | None, raw: bytes, number: int
) -> SourceRecord:
    """The record of a row, given by column names: a call, a b leg or a bad row.

    The required columns must exist. `tenant` is used for a row without `domain_name`. A bad row
    holds `raw` and `number`, the row as it was read and its position.
    """
    known_tenant = tenant or ALL_TENANTS
    try:
        known_tenant = _identifier(row, "domain_name") or tenant or _refuse_blank("domain_name")
        return _record(server_id, known_tenant, row)
    except BadInput as error:
        return BadRow(server_id, known_tenant, raw, number, str(error))


def _record(server_id: str, tenant: str, row: dict[str, str]) -> SourceRecord:
    source_call_id = fields.call_uuid("xml_cdr_uuid", row["xml_cdr_uuid"])
    leg = _one_of(row, "leg", _LEGS)
    origin = _origin(row, source_call_id, leg)
    if origin is None:
        return _call(server_id, tenant, source_call_id, leg, row)
    call = None
    if _left_by_carrier(row, leg) and row["billsec"] != "0":
        call = _call(server_id, tenant, source_call_id, "b", row)
    return BLeg(server_id, tenant, source_call_id, origin, call)


def _origin(row: dict[str, str], source_call_id: str, leg: str) -> str | None:
    """The leg that this one names, empty if it names none; None for a call of its own.

    A member of a ring group has an a leg of its own that names the first; so has an agent of a
    queue. An outbound a leg is a call of its own always: it may be the only one that is recorded.
    """
    named = row.get("originating_leg_uuid", "").lower()
    origin = named if fields.is_uuid(named) and named != source_call_id else ""
    if row.get("cc_side") == "agent" and fields.is_uuid(row.get("cc_member_session_uuid", "")):
        return row["cc_member_session_uuid"].lower()
    if leg == "b":
        bridged = row.get("bridge_uuid", "").lower()
        return origin or (bridged if fields.is_uuid(bridged) else "")
    return origin if origin and row["direction"] != "outbound" else None


def _left_by_carrier(row: dict[str, str], leg: str) -> bool:
    """FusionPBX does not record by which gateway a leg left; direction and number show it."""
    if not is_carrier_number(row["destination_number"]):
        return False
    if row.get("cc_side") == "agent":
        return not row.get("extension")
    return leg == "b" and row["direction"] == "outbound"


def _call(
    server_id: str, tenant: str, source_call_id: str, leg: str, row: dict[str, str]
) -> CallCompleted:
    started_at = fields.instant("start_epoch", row["start_epoch"])
    billsec = fields.seconds("billsec", row["billsec"])
    return CallCompleted(
        call_id=call_id(server_id, source_call_id),
        server_id=server_id,
        tenant=tenant,
        source="fusionpbx-pull",
        source_call_id=source_call_id,
        direction=cast(Direction, _one_of(row, "direction", _DIRECTIONS)),
        started_at=started_at,
        answered_at=_stamp(row, "answer_stamp"),
        ended_at=_end(row, started_at, billsec),
        billsec=billsec,
        leg=cast(Literal["a", "b", ""], leg),
        **{field: read(row, column) for field, (column, read) in _TEXTS.items()},
    )


def _one_of(row: dict[str, str], column: str, known: tuple[str, ...]) -> str:
    if row[column] not in known:
        expected = ", ".join(value for value in known if value)
        raise BadInput(column, row[column], f"{expected}, or nothing")
    return row[column]


def _stamp(row: dict[str, str], column: str) -> datetime | None:
    """A timestamptz; None where the column is missing, blank or in 1970: it did not happen."""
    text = row.get(column, "")
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(column, text, "a time with its UTC offset") from None
    if instant.tzinfo is None:
        raise BadInput(column, text, "a time with its UTC offset")
    return instant.astimezone(UTC) if instant.year > 1970 else None


def _end(row: dict[str, str], started_at: datetime, billsec: int) -> datetime:
    """When the call ended; without `end_stamp`, its start plus the longest known duration.

    `duration` holds ring and talk up to FusionPBX 5.1, and only talk since 5.2.
    """
    ended_at = _stamp(row, "end_stamp")
    if ended_at is None:
        duration = row.get("duration")
        ran_s = max(billsec, fields.seconds("duration", duration) if duration else 0)
        return started_at + timedelta(seconds=ran_s)
    if ended_at < started_at:
        raise BadInput("end_stamp", row["end_stamp"], f"a time not before {started_at}")
    return ended_at


def _identifier(row: dict[str, str], column: str) -> str:
    return fields.identifier(column, row.get(column, ""))


def _free_text(row: dict[str, str], column: str) -> str:
    return fields.free_text(row.get(column, ""))


def _refuse_blank(column: str) -> str:
    raise BadInput(column, "", "a name")


_TEXTS: dict[str, tuple[str, Callable[[dict[str, str], str], str]]] = {
    "caller_destination": ("caller_destination", _identifier),
    "destination_number": ("destination_number", _identifier),
    "extension": ("extension", _identifier),
    "accountcode": ("accountcode", _identifier),
    "caller_name": ("caller_id_name", _free_text),
    "caller_number": ("caller_id_number", _free_text),
    "source_number": ("source_number", _free_text),
    "status": ("status", _free_text),
    "hangup_cause": ("hangup_cause", _free_text),
    "sip_call_id": ("sip_call_id", _free_text),
}
"""By the event's field: the export's column, and the function that reads it."""
