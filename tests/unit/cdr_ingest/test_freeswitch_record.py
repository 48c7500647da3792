"""A posted record and the polled row of the same call yield the same event."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from cdr_ingest.fusionpbx.rows import ExportRows
from cdr_ingest.receiver.formats import READERS, Posted
from cdr_ingest.sources.source import BLeg
from rating.posting.batch import call_hash
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id
from ringfence_pbx.servers import FusionPbxServer
from ringfence_simulators.freeswitch.channel import EndedChannel, b_leg, channel_of
from ringfence_simulators.freeswitch.document import (
    Encode,
    Form,
    json_document,
    make_body,
    url_encode,
    xml_document,
)
from ringfence_simulators.fusionpbx.calls import SimulatedFusionPbxCall, export_csv, make_call
from tests.support.narrow import expect

UUID = "0F4205B4-907a-40c3-9012-f037b64ce422"
START = 1_795_255_210
SERVER = FusionPbxServer.model_validate(
    {
        "kind": "fusionpbx",
        "url": "https://pbx.example",
        "api_key": {"env": "PBX_KEY"},
        "push": {"open": True},
    }
)
CALL = {
    "xml_cdr_uuid": UUID,
    "domain_name": "Mcon.example",
    "direction": "outbound",
    "extension": "2112",
    "caller_id_name": "Front Desk",
    "caller_id_number": "2112",
    "caller_destination": "14165550100",
    "source_number": "15192229000",
    "destination_number": "14165550100",
    "start_epoch": START,
    "billsec": 60,
}
ENCODINGS = [
    ("json", "false", True),
    ("json", "false", False),
    ("json", "true", True),
    ("json", "true", False),
    ("json", "base64", True),
    ("json", "base64", False),
    ("xml", "false", True),
    ("xml", "true", True),
    ("xml", "base64", True),
    ("xml", "textxml", True),
]
WAYS = pytest.mark.parametrize(("form", "encode", "encode_values"), ENCODINGS)


def row_of(**changed: int | str) -> SimulatedFusionPbxCall:
    return make_call({**CALL, **changed}, "7b1f2c1e-1111-4a57-9a83-0a5d6c4a0001", START + 64)


def channel(**changed: int | str) -> EndedChannel:
    return channel_of(row_of(**changed))


def altered(found: EndedChannel | None = None, /, **variables: str | None) -> EndedChannel:
    found = found or channel()
    merged = {k: v for k, v in {**found.variables, **variables}.items() if v is not None}
    return EndedChannel(found.uuid, merged, found.profile, found.originator)


def pulled(**changed: int | str) -> CallCompleted:
    call = row_of(**changed)
    body = export_csv([(call, call.columns)], superadmin=True, show_all=True)
    header, line = body.splitlines()
    return expect(CallCompleted, ExportRows(header, server_id="pbx", tenant=None).read(line, 2))


def post(form: Form, body: bytes, content_type: str, uuid: str = "") -> CallCompleted:
    return expect(CallCompleted, answer_to(form, body, content_type, uuid))


def answer_to(form: Form, body: bytes, content_type: str, uuid: str = "") -> object:
    posted = Posted("pbx", SERVER, content_type, {"uuid": uuid} if uuid else {}, body)
    return READERS["fusionpbx", form](posted)


def push(
    found: EndedChannel,
    form: Form = "json",
    encode: Encode = "false",
    encode_values: bool = True,
    uuid: str | None = None,
) -> CallCompleted:
    """The call in a posted record."""
    return expect(CallCompleted, pushed(found, form, encode, encode_values, uuid))


def pushed(
    found: EndedChannel,
    form: Form = "json",
    encode: Encode = "false",
    encode_values: bool = True,
    uuid: str | None = None,
) -> object:
    """The record in a post: a call or a b leg."""
    text = xml_document(found)
    if form == "json":
        text = json_document(found, encode_values=encode_values)
    content_type, body = make_body(form, encode, text)
    mark = "a_" if form == "xml" and not found.originator else ""
    return answer_to(
        form, body.encode(), content_type, f"{mark}{found.uuid}" if uuid is None else uuid
    )


CALLS: dict[str, dict[str, Any]] = {
    "outbound": {},
    "a minute abroad": {"destination_number": "01144207946000", "billsec": 187},
    "dialled with a plus": {"destination_number": "14165550100", "dialled": "+14165550100"},
    "a feature code": {"direction": "", "destination_number": "*97", "caller_destination": "*97"},
    "local": {"direction": "local", "destination_number": "2113", "caller_destination": "2113"},
    "inbound": {
        "direction": "inbound",
        "caller_destination": "+15484815577",
        "destination_number": "2112",
        "caller_id_number": "4165550101",
        "caller_id_name": 'Sales "West", Ltd',
    },
    "not answered": {"billsec": 0},
    "a name in another script": {"caller_id_name": "Доктор Ω & Söhne <x>"},
    "longer than a day": {"billsec": 100_000},
}


@WAYS
@pytest.mark.parametrize("which", CALLS)
def test_a_posted_and_a_polled_record_of_a_call_are_equal(
    which: str, form: Form, encode: Encode, encode_values: bool
) -> None:
    spec = dict(CALLS[which])
    dialled = spec.pop("dialled", None)
    found = channel(**spec)
    if dialled:
        found.profile["destination_number"] = dialled
    by_pull, by_push = pulled(**spec), push(found, form, encode, encode_values)
    assert by_push.source == "freeswitch-push"
    assert call_hash(by_push) == call_hash(by_pull)
    same = {
        *("call_id", "server_id", "tenant", "source_call_id", "direction", "billsec", "leg"),
        *("destination_number", "caller_destination", "started_at", "answered_at", "ended_at"),
        *("extension", "caller_number", "caller_name", "source_number", "accountcode", "status"),
    }
    assert by_push.model_dump(include=same) == by_pull.model_dump(include=same)
    assert by_push.call_id == call_id("pbx", UUID.lower())


def test_times_are_read_from_epochs_because_stamps_have_the_switchs_zone() -> None:
    call = push(channel())
    assert call.started_at == datetime.fromtimestamp(START, UTC)
    assert channel().variables["start_stamp"] == "2026-11-21 05:00:10"
    assert push(altered(start_stamp="1999-01-01 00:00:00")).started_at == call.started_at


def test_a_call_that_a_queue_agent_took_is_inbound() -> None:
    assert push(altered(cc_side="agent")).direction == "inbound"


def test_the_provider_prefix_is_removed_from_the_number() -> None:
    found = altered(channel(destination_number="99914165550100"), provider_prefix="999")
    assert push(found).destination_number == "14165550100"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"sip_h_caller_destination": "15550001111"}, "15550001111"),
        ({"caller_destination": None, "dialed_user": "2113"}, "2113"),
        ({"caller_destination": None}, ""),
    ],
)
def test_the_dialled_number_is_read_from_the_same_variables_as_in_fusionpbx(
    variables: dict[str, str | None], expected: str
) -> None:
    assert push(altered(**variables)).caller_destination == expected


def test_the_tenant_is_read_as_in_fusionpbx_and_keeps_its_case() -> None:
    assert push(channel()).tenant == "Mcon.example"
    found = altered(domain_name=None, dialed_domain="Other.example")
    assert push(found).tenant == "Other.example"


@pytest.mark.parametrize("form", ["json", "xml"])
def test_a_b_leg_has_its_own_id(form: Form) -> None:
    leg = b_leg(channel())
    found = expect(BLeg, pushed(leg, form))
    assert (found.source_call_id, found.origin) == (leg.uuid, UUID.lower())
    assert found.call is not None
    assert found.call.call_id == call_id("pbx", leg.uuid)


def test_xml_without_the_a_leg_prefix_is_a_b_leg() -> None:
    found = expect(BLeg, pushed(channel(), "xml", uuid=UUID))
    assert (found.source_call_id, found.origin) == (UUID.lower(), "")


def test_a_record_reported_by_another_channel_is_a_b_leg() -> None:
    other = "86734721-4cdd-4055-930d-6eaf14f4733f"
    found = expect(BLeg, pushed(channel(), uuid=other))
    assert (found.source_call_id, found.origin) == (other, UUID.lower())


def test_json_may_have_the_a_leg_prefix_or_no_id() -> None:
    found = channel()
    assert push(found, uuid=f"a_{UUID}") == push(found, uuid="") == push(found)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("billsec", "-1"),
        ("billsec", "9" * 400),
        ("billsec", "NaN"),
        ("billsec", "1e3"),
        ("billsec", "60.0"),
        ("billsec", "%zz"),
        ("billsec", ""),
        ("billsec", None),
        ("billsec", "٣"),
        ("start_epoch", "0"),
        ("start_epoch", "99999999999999999999"),
        ("end_epoch", str(START - 1)),
        ("answer_epoch", "soon"),
        ("uuid", "not-one"),
        ("domain_name", "a\x00b"),
        ("domain_name", "x" * 1001),
        ("call_direction", "sideways"),
        ("caller_destination", "1416\r\n555"),
        ("caller_destination", "%FF%FE1416"),
        ("accountcode", "z" * 1001),
    ],
)
@pytest.mark.parametrize("form", ["json", "xml"])
def test_an_invalid_value_is_refused_with_field_value_and_expectation(
    form: Form, variable: str, value: str | None
) -> None:
    found = altered(**{variable: value})
    if form == "xml" and "\x00" in str(value):
        found.variables[variable] = "a%00b"
    with pytest.raises(BadInput) as refused:
        push(found, form)
    assert refused.value.field == variable
    assert refused.value.expected
    assert len(str(refused.value)) < 400
    push(channel(), form)  # the next record is not affected


@pytest.mark.parametrize("value", [60, None, True, ["60"], {"a": "60"}, 60.5])
def test_a_variable_that_is_not_text_is_refused(
    value: bool | dict[str, str] | float | list[str] | None,
) -> None:
    record = json.loads(json_document(channel()))
    record["variables"]["billsec"] = value
    with pytest.raises(BadInput, match="billsec"):
        post("json", json.dumps(record).encode(), "application/json")


def test_a_call_with_a_name_of_ten_thousand_characters_is_accepted() -> None:
    for form in ("json", "xml"):
        call = push(channel(caller_id_name="x" * 10_000), form)
        assert call.caller_name == "x" * 999 + "…"


def test_a_name_may_be_invalid_utf8_but_a_number_may_not() -> None:
    text = json_document(channel(), encode_values=False).encode()
    spoilt = text.replace(b"Front Desk", "Caf\xe9".encode("latin-1"))
    assert post("json", spoilt, "application/json").caller_name == "Caf\ufffd"
    spoilt = text.replace(b"14165550100", b"1416\xff50100")
    with pytest.raises(BadInput, match="destination"):
        post("json", spoilt, "application/json")


@pytest.mark.parametrize("form", ["json", "xml"])
def test_a_variable_that_occurs_twice_is_refused(form: Form) -> None:
    text = json_document(channel()) if form == "json" else xml_document(channel())
    again = {"json": '"billsec":"60","billsec":"1"', "xml": "<billsec>60</billsec><billsec>1"}
    once = {"json": '"billsec":"60"', "xml": "<billsec>60"}
    assert once[form] in text
    content_type, body = make_body(form, "false", text.replace(once[form], again[form]))
    with pytest.raises(BadInput, match="billsec: got 'more than one value', expected one"):
        post(form, body.encode(), content_type, f"a_{UUID}")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record.pop("variables"),
        lambda record: record.pop("callflow"),
        lambda record: record.update(variables=["billsec"]),
        lambda record: record.update(callflow=[]),
        lambda record: record.update(callflow=[[]]),
        lambda record: record["callflow"][0].pop("caller_profile"),
    ],
)
def test_a_record_without_variables_or_callflow_is_refused(spoil: Callable[..., Any]) -> None:
    record = json.loads(json_document(channel()))
    spoil(record)
    with pytest.raises(BadInput, match=r"variables|callflow"):
        post("json", json.dumps(record).encode(), "application/json")


def test_variables_or_callflow_that_occur_twice_are_refused() -> None:
    text = json_document(channel())
    for part in ("variables", "callflow"):
        with pytest.raises(BadInput, match=part):
            post("json", f'{text[:-1]},"{part}":{{}}}}'.encode(), "application/json")


def test_values_encoded_before_the_document_are_decoded_once() -> None:
    """The switch does not encode text that looks encoded, so one decoding undoes both."""
    assert url_encode("a%20b c") == "a%20b%20c"
    assert url_encode("a%20b c", double=True) == "a%2520b%20c"
    assert push(channel(caller_id_name="A B"), "json", "true").caller_name == "A B"


@pytest.mark.parametrize("encode", ["false", "base64"])
def test_values_that_were_not_encoded_are_not_decoded(encode: Encode) -> None:
    found = altered(accountcode="a%41+%20")
    assert push(found, "json", encode, encode_values=False).accountcode == "a%41+%20"


def test_a_correctly_encoded_document_is_read_as_well() -> None:
    found = channel()
    body = f"cdr={quote(json_document(found))}".encode()
    assert post("json", body, "application/x-www-form-urlencoded") == push(found)


def test_variables_that_a_telephone_may_have_added_to_an_encoded_document_are_refused() -> None:
    """A quote in a User-Agent ends the value; the text after it would be a variable."""
    sneaked = altered(sip_user_agent='x","cc_side":"agent","y":"z')
    assert push(sneaked, "json", "false").direction == "outbound"
    with pytest.raises(BadInput, match=r"cc_side: .* encode set to false"):
        push(sneaked, "json", "true")
    sneaked = altered(sip_user_agent='x","billsec":"1","y":"z')
    assert push(sneaked, "json", "false").billsec == 60
    with pytest.raises(BadInput, match="billsec: got 'more than one value'"):
        push(sneaked, "json", "true")


@pytest.mark.parametrize(
    ("aniii", "expected"),
    [("27", "27"), (" 70 ", "70"), ("", ""), ("0", ""), ("\u0662\u0667", ""), ("27x", "")],
)
def test_the_ani_ii_digits_are_those_of_the_caller_profile(aniii: str, expected: str) -> None:
    """Odd ones are left out: they must not keep a call from being billed."""
    found = channel()
    profile = {**found.profile, "aniii": aniii}
    posted = push(EndedChannel(found.uuid, found.variables, profile, found.originator))
    assert posted.ani_ii == expected
