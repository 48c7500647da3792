"""Calls as rows of the CDR table, and their CSV export."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

FusionPbxCallSpec = dict[str, Any]
"""A call as the control interface gets it; everything except `domain_name` has a default.

`start_epoch`, `ring_s`, `billsec` and `ends_at` (Unix seconds) determine its times, and
`shown_after_s` how long after its end the row appears. Any column of the export can be given by
name, and is used unchanged.
"""

COLUMNS = (
    *("domain_uuid", "sip_call_id", "extension", "extension_name", "start_stamp", "end_stamp"),
    *("start_date_formatted", "start_time_formatted", "start_epoch", "duration", "billmsec"),
    *("missed_call", "record_path", "record_name", "xml_cdr_uuid", "bridge_uuid", "direction"),
    *("billsec", "caller_id_name", "caller_id_number", "caller_destination", "source_number"),
    *("destination_number", "leg", "read_codec", "write_codec", "cc_side", "answer_stamp"),
    *("status", "sip_hangup_disposition", "pdd_ms", "rtp_audio_in_mos", "wait"),
)
LEG_COLUMNS = ("originating_leg_uuid", "cc_member_session_uuid", "hangup_cause", "gateway")
"""Columns of the table that the export shows only if they are entered; `gateway` is no column, but
the gateway by which a leg left, which FreeSWITCH posts."""

SUPERADMIN_COLUMNS = frozenset({"rtp_audio_in_mos"})
NEVER = "1970-01-01 00:00:00+00"


@dataclass(frozen=True)
class SimulatedFusionPbxCall:
    """A row: its columns as text, and the time (Unix seconds) from which an export contains it.

    The export reads the number and the name of `extension_uuid` when it is made, as FusionPBX does;
    without it, the columns have them.
    """

    columns: dict[str, str]
    shown_at: float
    extension_uuid: str = ""

    @property
    def start_epoch(self) -> int:
        """When the call began, which an export compares with its window."""
        return int(self.columns["start_epoch"])


def make_call(
    spec: FusionPbxCallSpec, domain_uuid: str, now: float, extension_uuid: str = ""
) -> SimulatedFusionPbxCall:
    """The row of a call as in FusionPBX 5.5. Without times in `spec`, the call has just ended."""
    given = {name: str(value) for name, value in spec.items()}
    billsec, ring_s = _seconds(given.get("billsec", "0")), int(given.get("ring_s", "4"))
    ends_at = int(float(given["ends_at"])) if "ends_at" in given else None
    if "start_epoch" in given:
        start = int(given["start_epoch"])
    else:
        start = (int(now) if ends_at is None else ends_at) - ring_s - billsec
    end = start + ring_s + billsec if ends_at is None else ends_at
    columns = {
        **_defaults(domain_uuid),
        **_times(start, start + ring_s if billsec else None, end),
        "duration": str(billsec),
        "billmsec": str(billsec * 1000),
        "billsec": str(billsec),
        "status": "answered" if billsec else "no_answer",
    }
    known = {*COLUMNS, *LEG_COLUMNS, "domain_name", "accountcode"}
    columns |= {name: value for name, value in given.items() if name in known}
    shown_at = end + float(given.get("shown_after_s", "0"))
    return SimulatedFusionPbxCall(columns, shown_at, extension_uuid)


def _seconds(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _defaults(domain_uuid: str) -> dict[str, str]:
    uuid = str(uuid4())
    return {
        **dict.fromkeys((*COLUMNS, "accountcode"), ""),
        "domain_uuid": domain_uuid,
        "xml_cdr_uuid": uuid,
        "sip_call_id": f"{uuid[:8]}@203.0.113.9",
        "leg": "a",
        "read_codec": "PCMU",
        "write_codec": "PCMU",
        "sip_hangup_disposition": "recv_bye",
        "pdd_ms": "1043",
    }


def _times(start: int, answer: int | None, end: int) -> dict[str, str]:
    local = datetime.fromtimestamp(start, UTC)
    return {
        "start_epoch": str(start),
        "start_stamp": stamp(start),
        "answer_stamp": NEVER if answer is None else stamp(answer),
        "end_stamp": stamp(end),
        "start_date_formatted": local.strftime("%d %b %Y"),
        "start_time_formatted": local.strftime("%I:%M %p").lower(),
    }


def stamp(epoch: int) -> str:
    """A timestamptz as PostgreSQL writes it in a session with the time zone UTC."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S+00")


def export_csv(
    rows: Iterable[tuple[SimulatedFusionPbxCall, Mapping[str, str]]],
    *,
    superadmin: bool,
    show_all: bool,
    added: Sequence[str] = (),
) -> bytes:
    """The body of an export: the newest start first; quotes inside values are not escaped.

    Each call comes with its values by column. `added` are columns of the default setting: one with
    the name of another column replaces it in place. Without calls there is no header either, but
    two newlines, because PHP writes a header without columns and a row without values.
    """
    names = [name for name in COLUMNS if superadmin or name not in SUPERADMIN_COLUMNS]
    names += [name for name in dict.fromkeys(added) if name not in names]
    names += ["domain_name"] if show_all else []
    lines = [
        ",".join(f'"{row.get(name, "")}"' for name in names)
        for _, row in sorted(rows, key=lambda each: -each[0].start_epoch)
    ]
    if not lines:
        return b"\n\n"
    header = ",".join(f'"{name}"' for name in names)
    return "\n".join([header, *lines, ""]).encode()
