"""Whatever a PBX or provider sends, each reader of calls takes it or refuses it with a reason."""

import base64
import json
from typing import Any
from urllib.parse import quote_plus

from hypothesis import example, given
from hypothesis import strategies as st

from cdr_ingest.fusionpbx.rows import ExportRows
from cdr_ingest.lesnet.cdr_file import CdrFile, CutOff, NotAFile
from cdr_ingest.receiver.formats import READERS, Posted, PushingServer
from cdr_ingest.sources.source import BadRow, BLeg
from cdr_ingest.vodia.rows import read_record
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted
from ringfence_pbx.decimal_json import read_json
from ringfence_pbx.lesnet.profile_file import default_profile
from ringfence_pbx.servers import LesnetLink, VodiaServer
from ringfence_simulators.freeswitch.document import json_document, xml_document
from tests.support.hostile import DEPTHS, EXAMPLES, damaged, documents, nested, survives
from tests.support.push import outbound, pushing

LIMIT = 256 * 1024
"""What an unreadable record may take in a dead letter, by what its reader keeps of it."""

CHANNEL = outbound()
JSON_POST = json_document(CHANNEL)
XML_POST = xml_document(CHANNEL)
VODIA_LEG: dict[str, Any] = {
    "action": "call-data-record",
    "CallID": "a1@pbx",
    "PrimaryCallID": "p1@pbx",
    "TrunkID": "7",
    "Domain": "north.example",
    "Direction": "O",
    "From": '"Ann" <sip:2112@north.example>',
    "To": "<sip:14165550100@north.example>",
    "TimeStart": "20261121100000",
    "TimeConnected": "20261121100004",
    "TimeEnd": 1795255264,
    "Extension": "2112",
}
VODIA_ROW: dict[str, Any] = {
    "call_id": "PRA93Tta2CzVcV73Yvs8tQ..",
    "from": '"Ann" <sip:2112@north.example>',
    "to": "<sip:14165550100@north.example>",
    "start": 1598065445.88,
    "connect": 1598065449.88,
    "end": 1598065509.88,
    "extensions": [2112],
    "trunks": [10],
}
FUSIONPBX_ROW = {
    "xml_cdr_uuid": "0f4205b4-907a-40c3-9012-f037b64ce422",
    "domain_name": "north.example",
    "direction": "outbound",
    "leg": "a",
    "start_epoch": "1795255210",
    "end_stamp": "2026-11-21 10:01:14+00",
    "answer_stamp": "2026-11-21 10:00:14+00",
    "duration": "60",
    "billsec": "60",
    "caller_id_name": "Front Desk",
    "caller_id_number": "2112",
    "caller_destination": "14165550100",
    "source_number": "15192229000",
    "destination_number": "14165550100",
    "extension": "2112",
    "accountcode": "",
    "sip_call_id": "0001@203.0.113.9",
    "status": "answered",
}
LINK = LesnetLink(url="https://cdr.example/a.txt", peer="d4e3cd2bfc791", dids=("12046664021",))
LESNET_FILE = (
    b"Date,Source,Destination,Duration\n2026-11-20 09:00:00,12046664021,14165550100,61\n"
    b"2026-11-20 09:10:00,15195550111,12046664021,0\n"
)


def vodia() -> VodiaServer:
    return VodiaServer.model_validate(
        {"kind": "vodia", "url": "https://pbx.example", "user": "a", "password": {"env": "X"}}
    )


def read_post(kind: str, form: str, body: bytes, content_type: str = "application/json") -> object:
    server: PushingServer = vodia() if kind == "vodia" else pushing()
    posted = Posted("pbx-1", server, content_type, {"uuid": f"a_{CHANNEL.uuid}"}, body)
    return READERS[kind, form](posted)


def is_record(found: object) -> None:
    """A reader's result is a call, a b leg or a bad row with its reason."""
    assert isinstance(found, CallCompleted | BLeg | BadRow)
    if isinstance(found, BadRow):
        assert 0 < len(found.reason) < 20_000


@EXAMPLES
@given(
    documents(json.loads(JSON_POST)) | damaged(JSON_POST.encode()),
    st.sampled_from(("application/json", "text/xml", "application/x-www-form-urlencoded")),
    st.sampled_from(("plain", "form", "quoted", "base64")),
)
def test_any_json_post_of_freeswitch(body: bytes, content_type: str, packed: str) -> None:
    if packed == "base64":
        body = b"cdr=" + base64.b64encode(body)
    elif packed == "quoted":
        body = b"cdr=" + quote_plus(body).encode()
    elif packed == "form":
        body = b"cdr=" + body
    survives(lambda: is_record(read_post("fusionpbx", "json", body, content_type)), BadInput)
    is_record(read_post("fusionpbx", "json", JSON_POST.encode()))


@EXAMPLES
@given(damaged(XML_POST.encode()) | st.binary(max_size=300))
@example(b"<cdr>" * 40_000)
@example(b"<!DOCTYPE a [<!ENTITY b 'c'>]><cdr>&b;</cdr>")
@example(b"<?xml version='1.0' encoding='utf-16'?><cdr/>")
def test_any_xml_post_of_freeswitch(body: bytes) -> None:
    survives(lambda: is_record(read_post("fusionpbx", "xml", body, "text/xml")), BadInput)
    is_record(read_post("fusionpbx", "xml", XML_POST.encode(), "text/xml"))


@EXAMPLES
@given(documents(VODIA_LEG), st.sampled_from(("json", "webcdr")))
@example((json.dumps(VODIA_LEG)[:-1] + ', "Domain": "\\ud800"}').encode(), "json")
@example((json.dumps(VODIA_LEG)[:-1] + ', "CallID": "\\ud800"}').encode(), "webcdr")
def test_any_post_of_vodia(body: bytes, form: str) -> None:
    survives(lambda: is_record(read_post("vodia", form, body)), BadInput)


@EXAMPLES
@given(documents(VODIA_ROW))
@example((json.dumps(VODIA_ROW)[:-1] + ', "start": "\\ud800"}').encode())
@example((json.dumps(VODIA_ROW)[:-1] + ', "call_id": "\\ud800"}').encode())
@example((json.dumps(VODIA_ROW)[:-1] + ', "from": "\\ud800"}').encode())
@example((json.dumps(VODIA_ROW)[:-1] + ', "\\ud800": 1, "start": []}').encode())
def test_any_listed_call_of_vodia(body: bytes) -> None:
    """The list is JSON as a whole, or the poll fails; each record is a call or a bad row."""

    def read() -> None:
        is_record(read_record("pbx-2", "north.example", read_json(body), 1))

    survives(read, ValueError)
    is_record(read_record("pbx-2", "north.example", dict(VODIA_ROW), 1))


def test_a_listed_call_of_vodia_that_is_nested_as_deep_as_can_be_read_is_a_bad_row() -> None:
    """Reading it may succeed where writing it into the dead letter needs a little more depth."""
    for depth in {*DEPTHS, *range(900, 1000)}:
        row = json.dumps(VODIA_ROW)[:-1] + f', "start": {nested(depth)}}}'

        def read(row: str = row) -> None:
            is_record(read_record("pbx-2", "north.example", read_json(row.encode()), 1))

        survives(read, ValueError)


@EXAMPLES
@given(
    st.dictionaries(st.sampled_from(sorted(FUSIONPBX_ROW)), st.text(max_size=40), max_size=4),
    st.none() | st.just("north.example"),
)
def test_any_value_in_an_export_of_fusionpbx(changed: dict[str, str], tenant: str | None) -> None:
    row = FUSIONPBX_ROW | changed
    header = ",".join(f'"{name}"' for name in FUSIONPBX_ROW).encode()
    line = ",".join(f'"{value}"' for value in row.values()).encode("utf-8", "surrogatepass")
    is_record(ExportRows(header, server_id="pbx-1", tenant=tenant).read(line, 2))


@EXAMPLES
@given(st.data())
def test_any_line_of_an_export_of_fusionpbx(data: st.DataObject) -> None:
    header = ",".join(f'"{name}"' for name in FUSIONPBX_ROW).encode()
    line = ",".join(f'"{value}"' for value in FUSIONPBX_ROW.values()).encode()
    reader = ExportRows(header, server_id="pbx-1", tenant=None)
    is_record(reader.read(data.draw(damaged(line)), 2))
    found = reader.read(line, 3)
    assert isinstance(found, CallCompleted)
    odd_header = data.draw(damaged(header))
    survives(lambda: ExportRows(odd_header, server_id="pbx-1", tenant=None), BadInput)


@EXAMPLES
@given(damaged(LESNET_FILE) | st.binary(max_size=400))
def test_any_file_of_lesnet(body: bytes) -> None:
    def read() -> None:
        file = CdrFile(body, server_id="les", link=LINK, profile=default_profile())
        for record in file.records():
            is_record(record)

    survives(read, BadInput, NotAFile, CutOff)


def test_a_channel_without_anything_odd_is_a_call() -> None:
    """The good record of these fuzzers is good."""
    assert isinstance(read_post("fusionpbx", "json", JSON_POST.encode()), CallCompleted)
    assert isinstance(read_post("fusionpbx", "xml", XML_POST.encode(), "text/xml"), CallCompleted)
    assert isinstance(read_post("vodia", "json", json.dumps(VODIA_LEG).encode()), CallCompleted)
