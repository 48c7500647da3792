"""Reading the rows of a FusionPBX export: pure.

Values stand in double quotes that are not doubled inside (`"Sales "West""`), so a line is cut at
`","` and nowhere else. A value that itself holds `","` gives a line too many columns; one that ends
in `",` or begins with `,"` lets a boundary be seen in two places. What belonged where can not be
told then, and the line is refused as a whole.

What is done with odd text: what a person or a distant telephone may have written (names, caller
numbers, the SIP call id) is shortened to 1000 characters, an ellipsis being the last, and its
control characters become spaces, because a charge must not hang on it. What a charge does hang on
(the call's id, the tenant, the numbers that are billed, extension, account code) is refused when
it is too long, holds control characters, or is not UTF-8.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

from cdr_ingest.sources.source import BadRow, BLeg, SourceRecord
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted, Direction
from ringfence_contracts.events.model import MAX_BILLSEC
from ringfence_contracts.ids import call_id

REQUIRED = frozenset(
    {
        *("xml_cdr_uuid", "direction", "start_epoch", "billsec"),
        *("destination_number", "caller_destination", "leg"),
    }
)
"""Without these a call can not be billed right; the other columns may be missing."""

MAX_TEXT = 1000
_EARLIEST = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
_LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
_TWO_WAYS = '",","'
_WHOLE = re.compile(r"\d{1,12}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNREADABLE = "\ufffd"
_DIRECTIONS = ("inbound", "outbound", "local", "")
_LEGS = ("a", "b", "")


def split_line(line: bytes) -> list[str]:
    """The values of one line. Bytes that are not UTF-8 become U+FFFD.

    Raises BadInput when the line does not begin and end with a quote, or can be cut in two ways.
    """
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        raise BadInput("line", text, "values in double quotes, from the first to the last")
    inner = text[1:-1]
    if (at := inner.find(_TWO_WAYS)) >= 0:
        around = inner[max(0, at - 20) : at + 25]
        raise BadInput("line", around, 'no value that begins with ," or ends in ",')
    return inner.split('","')


class ExportRows:
    """The rows under one header; columns are found by name, for they vary by version and rights.

    `tenant` is what the export was asked for, and stands where there is no `domain_name` column;
    None when it was asked for all tenants. Raises BadInput when a required column is missing.
    """

    def __init__(self, header: bytes, *, server_id: str, tenant: str | None) -> None:
        self._names = split_line(header)
        missing = sorted(REQUIRED - set(self._names))
        if missing:
            raise BadInput(
                "columns of the export",
                ", ".join(self._names),
                f"{', '.join(missing)} as well; the key's user needs the right to see them",
            )
        self._server_id = server_id
        self._tenant = tenant

    def read(self, line: bytes, number: int) -> SourceRecord:
        """One line, which is the body's `number`th: a call, a b leg, or a row to park."""
        try:
            values = split_line(line)
            if len(values) != len(self._names):
                raise BadInput("columns", len(values), f"{len(self._names)}, as in the header")
        except BadInput as error:
            return BadRow(self._server_id, self._tenant or "*", line, number, str(error))
        row = dict(zip(self._names, values, strict=True))
        return read_row(
            row, server_id=self._server_id, tenant=self._tenant, raw=line, number=number
        )


def read_row(
    row: dict[str, str], *, server_id: str, tenant: str | None, raw: bytes, number: int
) -> SourceRecord:
    """One row by column names: a call, a b leg, or a row to park as `raw`, the `number`th.

    `tenant` stands where the row has no `domain_name`. The required columns are there.
    """
    told = tenant or "*"
    try:
        told = _identifier(row, "domain_name") or tenant or _refuse_blank("domain_name")
        return _record(server_id, told, row)
    except BadInput as error:
        return BadRow(server_id, told, raw, number, str(error))


def _record(server_id: str, tenant: str, row: dict[str, str]) -> SourceRecord:
    source_call_id = _call_uuid(row)
    leg = _one_of(row, "leg", _LEGS)
    if leg == "b":
        return BLeg(server_id, tenant, source_call_id)
    started_at = _start(row)
    billsec = _seconds(row, "billsec")
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
        leg=cast(Literal["a", ""], leg),
        **{field: read(row, column) for field, (column, read) in _TEXTS.items()},
    )


def _call_uuid(row: dict[str, str]) -> str:
    uuid = row["xml_cdr_uuid"]
    if not _UUID.fullmatch(uuid):
        raise BadInput("xml_cdr_uuid", uuid, "a UUID")
    return uuid.lower()


def _one_of(row: dict[str, str], column: str, known: tuple[str, ...]) -> str:
    if row[column] not in known:
        expected = ", ".join(value for value in known if value)
        raise BadInput(column, row[column], f"{expected}, or nothing")
    return row[column]


def _seconds(row: dict[str, str], column: str) -> int:
    text = row[column]
    if not _WHOLE.fullmatch(text) or int(text) > MAX_BILLSEC:
        raise BadInput(column, text, f"whole seconds, 0 to {MAX_BILLSEC}")
    return int(text)


def _start(row: dict[str, str]) -> datetime:
    text = row["start_epoch"]
    if not _WHOLE.fullmatch(text) or not _EARLIEST <= int(text) < _LATEST:
        raise BadInput("start_epoch", text, "Unix seconds between the years 2000 and 2100")
    return datetime.fromtimestamp(int(text), UTC)


def _stamp(row: dict[str, str], column: str) -> datetime | None:
    """A timestamptz; None where the column is missing or blank, or holds 1970: it never was."""
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
    """When the call ended; without a stamp, as long after its start as it is known to have run.

    `duration` holds ring and talk up to FusionPBX 5.1, and talk alone since 5.2.
    """
    ended_at = _stamp(row, "end_stamp")
    if ended_at is None:
        ran_s = max(billsec, _seconds(row, "duration") if row.get("duration") else 0)
        return started_at + timedelta(seconds=ran_s)
    if ended_at < started_at:
        raise BadInput("end_stamp", row["end_stamp"], f"a time not before {started_at}")
    return ended_at


def _identifier(row: dict[str, str], column: str) -> str:
    text = row.get(column, "")
    if len(text) > MAX_TEXT:
        raise BadInput(column, text, f"at most {MAX_TEXT} characters")
    if _CONTROL.search(text) or _UNREADABLE in text:
        raise BadInput(column, text, "text in UTF-8 without control characters")
    return text


def _free_text(row: dict[str, str], column: str) -> str:
    text = _CONTROL.sub(" ", row.get(column, ""))
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


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
"""The event's field, the export's column, and how it is read."""
