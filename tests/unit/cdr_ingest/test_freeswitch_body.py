"""Bodies of posts in every encoding, and bodies that must be refused."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_ingest.freeswitch.body import MAX_NAMES, read_json, unwrap
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
def test_the_content_type_does_not_decide_how_a_body_is_read(content_type: str) -> None:
    """With disable-100-continue, curl sends its default type for every body."""
    assert as_json(JSON.encode(), content_type).variables == {"uuid": "x"}
    assert as_xml(XML.encode(), content_type).variables == {"uuid": "x"}


@pytest.mark.parametrize("content_type", ["", "image/png", "multipart/form-data; boundary=x", "*"])
def test_an_unknown_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(BadInput, match="Content-Type"):
        as_json(JSON.encode(), content_type)


def test_many_names_of_which_some_occur_twice_are_read_in_a_short_time() -> None:
    """It was quadratic: 30,000 names took 54 s of the receiver's event loop."""
    names = "".join(f'"n{n}":"x","twice":"x",' for n in range(MAX_NAMES // 2 - 10))
    body = JSON.replace('"uuid"', names + '"uuid"', 1).encode()
    began = time.process_time()
    assert as_json(body).repeated == {"twice"}
    assert time.process_time() - began < 2


def test_too_many_names_are_refused() -> None:
    names = "".join(f'"n{n}":"x",' for n in range(MAX_NAMES))
    with pytest.raises(BadInput, match=f"expected at most {MAX_NAMES}"):
        as_json(JSON.replace('"uuid"', names + '"uuid"', 1).encode())


def test_base64_may_have_line_breaks_and_no_padding() -> None:
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
def test_a_body_that_is_no_json_record_is_refused_and_not_shown(body: bytes) -> None:
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
def test_a_body_that_is_no_xml_record_is_refused(body: str) -> None:
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
def test_a_document_type_is_refused_before_entities_are_expanded(doctype: str) -> None:
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
def test_depth_and_number_of_elements_are_limited(inside: Callable[..., Any], limit: int) -> None:
    as_xml(XML.replace("<cdr>", f"<cdr>{inside(limit - 10)}").encode())
    with pytest.raises(
        BadInput, match=f"at most {MAX_ELEMENTS} elements, at most {MAX_DEPTH} deep"
    ):
        as_xml(XML.replace("<cdr>", f"<cdr>{inside(limit)}").encode())


def test_character_references_and_predefined_entities_are_read() -> None:
    cdr = as_xml(XML.replace(">x<", ">&lt;&#65;&amp;<").encode())
    assert cdr.get("uuid") == "<A&"


def test_only_the_caller_profile_of_the_first_call_flow_is_used() -> None:
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
def test_any_bytes_are_read_or_refused(body: bytes, before: bytes) -> None:
    for read in (as_json, as_xml):
        with pytest.raises(BadInput):
            read(before + body)


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=8))
def test_any_texts_survive_unencoded_json(values: dict[str, str]) -> None:
    record = {"variables": {**values, "start_stamp": "a b"}, "callflow": {"caller_profile": {}}}
    cdr = as_json(json.dumps(record, ensure_ascii=True).encode())
    for name, value in values.items():
        assert name == "start_stamp" or cdr.get(name) == value.strip()
