"""The records that FreeSWITCH writes, and the bodies in which they are posted."""

import base64
import json
import re
from typing import Literal
from xml.sax.saxutils import escape

from ringfence_simulators.freeswitch.channel import EndedChannel

Form = Literal["json", "xml"]
Encode = Literal["false", "true", "base64", "textxml"]

_UNSAFE = re.compile(rb'[\r\n #%&+:;<=>?@\[\\\]^`{|}"\x00-\x1f\x7f-\xff]')
_ENCODED = re.compile(rb"%(?![0-9A-F]{2})|" + _UNSAFE.pattern.replace(b"%", b""))


def url_encode(text: str, *, double: bool = False) -> str:
    """Encode as the switch does: what looks encoded is left unchanged, unless `double`."""
    pattern = _UNSAFE if double else _ENCODED
    return pattern.sub(lambda found: b"%%%02X" % found[0][0], text.encode()).decode()


def json_document(channel: EndedChannel, *, encode_values: bool = True) -> str:
    """The record of mod_json_cdr. The caller profile is never encoded."""
    values = channel.variables
    if encode_values:
        values = {name: url_encode(value) for name, value in values.items()}
    profile: dict[str, object] = dict(channel.profile)
    if channel.originator:
        profile["originator"] = {"originator_caller_profiles": [channel.originator]}
    start = channel.variables.get("start_uepoch", "0")
    record = {
        "core-uuid": "b40e2a39-4b1e-4ad5-b2dd-b7e0b5f0b6d1",
        "switchname": "pbx",
        "channel_data": {"state": "CS_REPORTING", "direction": "inbound", "state_number": "11"},
        "variables": values,
        "app_log": {"applications": [{"app_name": "bridge", "app_data": "sofia/gateway/x"}]},
        "callflow": [
            {
                "dialplan": "XML",
                "profile_index": "1",
                "caller_profile": profile,
                "times": {"created_time": start, "profile_created_time": start},
            }
        ],
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


def xml_document(channel: EndedChannel) -> str:
    """The record of mod_xml_cdr: variables are encoded, the caller profile is not."""
    variables = {name: url_encode(value) for name, value in channel.variables.items()}
    originator = ""
    if channel.originator:
        inner = _elements(channel.originator)
        originator = (
            f"<originator><originator_caller_profile>{inner}</originator_caller_profile>"
            "</originator>"
        )
    start = channel.variables.get("start_uepoch", "0")
    return (
        '<?xml version="1.0"?>\n<cdr core-uuid="b40e2a39-4b1e-4ad5-b2dd-b7e0b5f0b6d1" '
        'switchname="pbx">\n  <channel_data><state>CS_REPORTING</state></channel_data>\n'
        "  <call-stats><audio><inbound><mos>4.50</mos></inbound></audio></call-stats>\n"
        f"  <variables>\n{_elements(variables)}  </variables>\n"
        '  <app_log><application app_name="bridge" app_data="sofia/gateway/x"/></app_log>\n'
        f'  <callflow dialplan="XML" profile_index="1"><caller_profile>\n'
        f"{_elements(channel.profile)}{originator}  </caller_profile>"
        f"<times><created_time>{start}</created_time></times></callflow>\n</cdr>\n"
    )


def _elements(values: dict[str, str]) -> str:
    return "".join(f"    <{name}>{escape(value)}</{name}>\n" for name, value in values.items())


def make_body(form: Form, encode: Encode, text: str) -> tuple[str, str]:
    """Content-Type and body, by the setting `encode`.

    mod_xml_cdr encodes already encoded text again. mod_json_cdr does not, which corrupts documents
    with quotes in encoded values.
    """
    if encode == "true":
        encoded = url_encode(text, double=form == "xml")
        return "application/x-www-form-urlencoded", f"cdr={encoded}"
    if encode == "base64":
        packed = base64.b64encode(text.encode()).decode()
        return "application/x-www-form-base64-encoded", f"cdr={packed}"
    if form == "json":
        return "application/json", text
    if encode == "textxml":
        return "text/xml", text
    return "application/x-www-form-plaintext", f"cdr={text}"
