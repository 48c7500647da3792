"""The formats that each kind of server can post, and the functions that read them.

A new format needs one function and one line in `READERS`; it is then posted to
`/cdr/{server_id}/{format}`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cdr_ingest.freeswitch.body import read_json, unwrap
from cdr_ingest.freeswitch.record import Cdr, read_record
from cdr_ingest.freeswitch.xml import read_xml
from cdr_ingest.sources.source import SourceRecord
from cdr_ingest.vodia.push import parse_vodia_json, parse_vodia_webcdr
from ringfence_pbx.servers import FusionPbxServer, VodiaServer

PushingServer = FusionPbxServer | VodiaServer


@dataclass(frozen=True)
class Posted:
    """A request whose sender is authenticated; its content is not validated yet."""

    server_id: str
    server: PushingServer
    content_type: str
    query: Mapping[str, str]
    body: bytes


Reader = Callable[[Posted], SourceRecord | None]
"""Reads a post: a call, a b leg (saved, not billed), a bad row, or None if there is no record.

Raises BadInput for a body that cannot be read; the body then becomes a dead letter, unchanged.
"""

_A_LEG = "a_"


def read_freeswitch_json(posted: Posted) -> SourceRecord:
    """A post of mod_json_cdr. The record itself shows which leg it is; the query does not."""
    cdr = read_json(unwrap(posted.content_type, posted.body))
    return _read(cdr, posted, is_b_leg=False)


def read_freeswitch_xml(posted: Posted) -> SourceRecord:
    """A post of mod_xml_cdr with `prefix-a-leg`: without `a_` in the query it is a b leg."""
    cdr = read_xml(unwrap(posted.content_type, posted.body).text)
    return _read(cdr, posted, is_b_leg=not posted.query.get("uuid", "").startswith(_A_LEG))


def _read(cdr: Cdr, posted: Posted, *, is_b_leg: bool) -> SourceRecord:
    uuid = posted.query.get("uuid", "").removeprefix(_A_LEG)
    return read_record(cdr, server_id=posted.server_id, posted_uuid=uuid, is_b_leg=is_b_leg)


def read_vodia_json(posted: Posted) -> SourceRecord:
    """One leg, posted by Vodia's `json://`."""
    assert isinstance(posted.server, VodiaServer), "READERS chooses by the server's kind"
    return parse_vodia_json(posted.server_id, posted.body, call_key=posted.server.call_key)


def read_vodia_webcdr(posted: Posted) -> SourceRecord:
    """A whole call, posted by Vodia's `webcdr://`."""
    return parse_vodia_webcdr(posted.server_id, posted.body)


READERS: Mapping[tuple[str, str], Reader] = {
    ("fusionpbx", "json"): read_freeswitch_json,
    ("fusionpbx", "xml"): read_freeswitch_xml,
    ("vodia", "json"): read_vodia_json,
    ("vodia", "webcdr"): read_vodia_webcdr,
}
"""The readers by the server's kind and the format in the path."""
