"""The channel sets of tests/cases/legs, as each way of reading a PBX yields them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import NAMESPACE_OID, uuid5

from cdr_ingest.fusionpbx.rows import ExportRows
from cdr_ingest.receiver.formats import READERS, Posted
from cdr_ingest.sources.source import SourceRecord
from ringfence_contracts.ids import call_id
from ringfence_simulators.freeswitch.channel import EndedChannel, channel_of
from ringfence_simulators.freeswitch.document import json_document, xml_document
from ringfence_simulators.fusionpbx.calls import (
    SimulatedFusionPbxCall,
    export_csv,
    make_call,
)
from ringfence_testing.records import NOON
from tests.support.push import pushing

Door = Literal["json", "xml", "export", "database"]
DOORS: tuple[Door, ...] = ("json", "xml", "export", "database")
CASES = Path(__file__).parents[1] / "cases" / "legs"
NAMES = sorted(file.stem for file in CASES.glob("*.json"))
TENANT = "north.example"
_EXPORT_COLUMNS = ("originating_leg_uuid", "cc_member_session_uuid")
_DATABASE_COLUMNS = (*_EXPORT_COLUMNS, "hangup_cause")
_DOMAIN = str(uuid5(NAMESPACE_OID, TENANT))


@dataclass(frozen=True)
class LegCase:
    """One form of a call: its channels, and the charges that it must cause, by call id."""

    calls: tuple[SimulatedFusionPbxCall, ...]
    charged: dict[str, tuple[str, int]]
    server_id: str = "pbx1"

    def records(self, door: Door) -> list[SourceRecord]:
        """The records of all channels, each read by itself."""
        return [_read(call, door) for call in self.calls]

    def channels(self) -> list[EndedChannel]:
        """The channels, as FreeSWITCH has them when they have ended."""
        return [channel_of(call) for call in self.calls]

    def charges(self, found: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        """Those of the charges, by call id, that are of this case's channels."""
        ids = [str(call_id(self.server_id, call.columns["xml_cdr_uuid"])) for call in self.calls]
        return {id_: found[id_] for id_ in ids if id_ in found}


def leg_case(name: str, run: str, server_id: str = "pbx1", began: float | None = None) -> LegCase:
    """The case of a file; each `run` gives its channels other ids.

    The first channel of it begins at `began` (Unix seconds), by default an hour before `NOON`.
    """
    content = json.loads((CASES / f"{name}.json").read_text("utf-8"))
    start = int(NOON.timestamp()) - 3600 if began is None else int(began)
    calls = [_call(record, run, start) for record in content["records"]]
    charged = {
        str(call_id(server_id, _uuid(run, key))): (account, cost)
        for key, (account, cost) in content["charged"].items()
    }
    return LegCase(tuple(calls), charged, server_id)


def _uuid(run: str, key: str) -> str:
    return str(uuid5(NAMESPACE_OID, f"{run} {key}"))


def _call(record: dict[str, Any], run: str, start: int) -> SimulatedFusionPbxCall:
    spec = {k: v for k, v in record.items() if k not in ("id", "of", "member", "starts_s")}
    spec |= {"domain_name": TENANT, "extension_name": "", "xml_cdr_uuid": _uuid(run, record["id"])}
    spec["start_epoch"] = start + record["starts_s"]
    if "of" in record:
        spec["originating_leg_uuid"] = _uuid(run, record["of"])
    if "member" in record:
        spec["cc_member_session_uuid"] = _uuid(run, record["member"])
    spec["ring_s"] = 0
    return make_call(spec, _DOMAIN, float(start))


def _read(call: SimulatedFusionPbxCall, door: Door) -> SourceRecord:
    if door in ("json", "xml"):
        return _posted(call, door)
    added = _EXPORT_COLUMNS if door == "export" else _DATABASE_COLUMNS
    body = export_csv([(call, call.columns)], superadmin=True, show_all=True, added=added)
    header, row = body.strip().split(b"\n")
    return ExportRows(header, server_id="pbx1", tenant=None).read(row, 2)


def _posted(call: SimulatedFusionPbxCall, form: str) -> SourceRecord:
    channel = channel_of(call)
    text = json_document(channel) if form == "json" else xml_document(channel)
    mark = "a_" if form == "xml" and not channel.originator else ""
    record = READERS["fusionpbx", form](
        Posted(
            server_id="pbx1",
            server=pushing(),
            content_type="application/json" if form == "json" else "text/xml",
            query={"uuid": f"{mark}{channel.uuid}"},
            body=text.encode(),
        )
    )
    assert record is not None
    return record
