"""Bodies as they come, and as they never should."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_ingest.freeswitch.body import read_json, unwrap
from cdr_ingest.freeswitch.record import Cdr
from cdr_ingest.freeswitch.xml import MAX_DEPTH, MAX_ELEMENTS, read_xml
from ringfence_contracts.errors import BadInput

FORM = "application/x-www-form-urlencoded"
JSON = '{"variables":{"uuid":"x"},"callflow":[{"caller_profile":{"destination_number":"1"}}]}'
XML = (
    "<cdr><variables><uuid>x</uuid></variables><callflow><caller_profile>"
    "<destination_number>1</destination_number></caller_profile></callflow></cdr>"
)


def as_json(body: bytes, content_type: str = "application/json") -> Cdr:
    return read_json(unwrap(content_type, body))


def as_xml(body: bytes, content_type: str = "text/xml") -> Cdr:
    return read_xml(unwrap(content_type, body).text)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", "text/xml", FORM],
)
def test_the_type_only_says_that_a_body_is_meant_for_us(content_type: str) -> None:
    """With disable-100-continue, curl's own type stands there whatever the body is."""
    assert as_json(JSON.encode(), content_type).variables == {"uuid": "x"}
    assert as_xml(XML.encode(), content_type).variables == {"uuid": "x"}


@pytest.mark.parametrize("content_type", ["", "image/png", "multipart/form-data; boundary=x", "*"])
def test_another_type_is_refused(content_type: str) -> None:
    with pytest.raises(BadInput, match="Content-Type"):
        as_json(JSON.encode(), content_type)


def test_base64_may_be_broken_into_lines_and_lack_its_end() -> None:
    packed = base64.b64encode(XML.encode()).rstrip(b"=")
    folded = b"\n".join(packed[n : n + 72] for n in range(0, len(packed), 72))
    assert as_xml(b"cdr=" + folded, FORM).variables == {"uuid": "x"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"cdr=",
        b"cdr=%",
        b"cdr=%zz",
        b"cdr=%7B%22variables",
        b"cdr=!!!!",
        b"cdr=" + base64.b64encode(b"\x00\xff" * 50),
        b"cdr=A",
        b"xyz=1",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"variables":NaN}',
        b'{"variables":{"billsec":Infinity}}',
        b'{"variables":{"billsec":' + b"9" * 5000 + b"}}",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        XML.encode(),
    ],
)
def test_what_is_no_json_record_is_refused_and_not_shown(body: bytes) -> None:
    with pytest.raises(BadInput) as refused:
        as_json(body, FORM)
    assert "variables" not in str(refused.value.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<cdr>",
        "<cdr></cdr>",
        "<other/>",
        XML.replace("cdr>", "car>"),
        "<cdr><variables><uuid>x</uuid></variables></cdr>",
        "<cdr><callflow><caller_profile><a>1</a></caller_profile></callflow></cdr>",
        XML.replace(">x<", ">&nothing;<"),
        XML.replace(">x<", ">\x01<"),
        XML.replace("</caller_p", "<destination_number>2</destination_number></caller_p"),
        XML + XML,
        JSON,
    ],
)
def test_what_is_no_xml_record_is_refused(body: str) -> None:
    with pytest.raises(BadInput):
        as_xml(body.encode())


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9))


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE cdr>",
        '<!DOCTYPE cdr [<!ENTITY a8 "x">]>',
        f'<!DOCTYPE cdr [<!ENTITY a0 "ha">{LAUGHS}]>',
        '<!DOCTYPE cdr [<!ENTITY a8 SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE cdr SYSTEM "http://127.0.0.1:1/cdr.dtd">',
        '<!DOCTYPE cdr [<!ENTITY % p SYSTEM "file:///etc/hostname">%p;]>',
    ],
)
def test_a_document_type_is_refused_before_anything_is_made_of_it(doctype: str) -> None:
    text = XML if "a8" not in doctype else XML.replace(">x<", ">&a8;<")
    began = time.process_time()
    with pytest.raises(BadInput, match="expected XML without either"):
        as_xml((doctype + text).encode())
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("inside", "limit"),
    [(lambda n: "<a>" * n + "</a>" * n, MAX_DEPTH), (lambda n: "<a/>" * n, MAX_ELEMENTS)],
    ids=["deep", "wide"],
)
def test_depth_and_width_of_a_document_are_bounded(inside: Callable[..., Any], limit: int) -> None:
    as_xml(XML.replace("<cdr>", f"<cdr>{inside(limit - 10)}").encode())
    with pytest.raises(
        BadInput, match=f"at most {MAX_ELEMENTS} elements, at most {MAX_DEPTH} deep"
    ):
        as_xml(XML.replace("<cdr>", f"<cdr>{inside(limit)}").encode())


def test_a_character_is_written_by_its_number_and_the_common_entities_are_known() -> None:
    cdr = as_xml(XML.replace(">x<", ">&lt;&#65;&amp;<").encode())
    assert cdr.get("uuid") == "<A&"


def test_only_the_first_call_flow_counts_and_not_the_profiles_inside_it() -> None:
    text = XML.replace(
        "</caller_profile></callflow>",
        "<originatee><originatee_caller_profile><destination_number>7</destination_number>"
        "</originatee_caller_profile></originatee></caller_profile></callflow>"
        "<callflow><caller_profile><destination_number>9</destination_number></caller_profile>"
        "</callflow>",
    )
    cdr = as_xml(text.encode())
    assert cdr.profiled("destination_number") == "1"
    assert not cdr.has_originator


@given(st.binary(max_size=300), st.sampled_from([b"", b"cdr=", b"{", b"<cdr>"]))
def test_no_bytes_break_the_readers(body: bytes, before: bytes) -> None:
    for read in (as_json, as_xml):
        with pytest.raises(BadInput):
            read(before + body)


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=8))
def test_any_texts_come_out_of_raw_json_as_they_went_in(values: dict[str, str]) -> None:
    record = {"variables": {**values, "start_stamp": "a b"}, "callflow": {"caller_profile": {}}}
    cdr = as_json(json.dumps(record, ensure_ascii=True).encode())
    for name, value in values.items():
        assert name == "start_stamp" or cdr.get(name) == value.strip()
