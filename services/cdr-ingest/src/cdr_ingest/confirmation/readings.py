"""Reads the export of one call, which holds that call's row and nothing else. Pure.

An export escapes nothing, so a line of a long export may be a part of a text. The export of one
call is different: all below its header is the row of that call, and a person who writes texts can
only add to it. So:

- If it has exactly as many values as the header has columns, no value holds a boundary, and each
  value is that of its column. Quotes, commas and line breaks in a text change nothing about that.
- If it has more, a text holds boundaries. The columns that only the PBX writes are in two blocks:
  around the call's id, and at the end. Where the first block is found once, and directly behind the
  extension's name, extension, times and talk time are certain. The number dialled is certain once
  the PBX finds the call by it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cdr_ingest.fusionpbx.rows import ExportRows, split_text
from cdr_ingest.sources.fields import is_uuid
from cdr_ingest.sources.source import SourceRecord
from ringfence_contracts.errors import BadInput

_FIRST = ("domain_uuid", "sip_call_id", "extension", "extension_name")
_TEXTS = (
    *("caller_id_name", "caller_id_number", "caller_destination", "source_number"),
    "destination_number",
)
_DIALLED = re.compile(r"\+?\d{1,30}", re.ASCII)
_WHOLE = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True)
class OneCall:
    """The export of one call. `record` is what it says for certain, None if that is too little.

    With `dialled`, the record holds only if the PBX also finds the call by this number. `reason`
    says why the row cannot be read, if `record` is None. `billsec` is the talk time that the row
    seems to have.
    """

    record: SourceRecord | None
    dialled: str = ""
    reason: str = ""
    billsec: int = 0


def read_one_call(body: str, uuid: str, *, server_id: str, tenant: str | None) -> OneCall | None:
    """Read an export that was requested for the call `uuid`; None if it holds no call."""
    header, _, rest = body.strip("\n").partition("\n")
    if not rest:
        return None
    rows = ExportRows(header.encode(), server_id=server_id, tenant=tenant)
    try:
        values = split_text(rest)
    except BadInput as error:
        return OneCall(None, reason=str(error))
    raw = rest.encode()
    if len(values) == len(rows.names):
        if rows.value_of(values, "xml_cdr_uuid").lower() != uuid:
            return OneCall(None, reason="the PBX answered with another call than the one asked for")
        return OneCall(rows.record(values, raw, 2))
    reason = f"columns: got {len(values)}, expected {len(rows.names)}, as in the header"
    certain = _certain_values(rows.names, values, uuid)
    if certain is None:
        return OneCall(None, reason=reason, billsec=talk_time(rows.names, values, uuid))
    record = rows.record(certain, raw, 2)
    return OneCall(record, dialled=rows.value_of(certain, "destination_number"), reason=reason)


def talk_time(names: Sequence[str], values: Sequence[str], uuid: str) -> int:
    """The seconds at the place where `billsec` would be, seen from the id of the call; else 0."""
    offset = names.index("billsec") - names.index("xml_cdr_uuid")
    found = [values[i + offset] for i in _places(values, uuid) if 0 <= i + offset < len(values)]
    return max((int(text) for text in found if _WHOLE.fullmatch(text)), default=0)


def _places(values: Sequence[str], uuid: str) -> list[int]:
    return [i for i, value in enumerate(values) if value.lower() == uuid]


def _certain_values(names: Sequence[str], values: Sequence[str], uuid: str) -> list[str] | None:
    """The values by column, for an outbound call; texts that are uncertain are empty."""
    if tuple(names[:4]) != _FIRST or "accountcode" in names:
        return None
    own = names[4 : names.index("caller_id_name")]
    end = len(names) - names.index("destination_number") - 1
    after = 4 + len(own)
    if not {"xml_cdr_uuid", "direction", "billsec"} <= set(own) or end < 1:
        return None
    if tuple(names[after : after + len(_TEXTS)]) != _TEXTS:
        return None
    begins = [at - own.index("xml_cdr_uuid") for at in _places(values, uuid)]
    block = dict(zip(own, values[4:after], strict=False))
    texts = values[after : len(values) - end]
    if begins != [4] or block.get("direction") != "outbound" or len(texts) < len(_TEXTS):
        return None
    if not _DIALLED.fullmatch(texts[-1]) or not values[2] or not is_uuid(values[0]):
        return None
    return [*values[:after], "", "", "", "", texts[-1], *values[len(values) - end :]]
