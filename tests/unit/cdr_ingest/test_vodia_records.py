"""Records of Vodia's list become calls with exact seconds, a direction and matched numbers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_ingest.sources.source import BadRow
from cdr_ingest.vodia.party import read_party
from cdr_ingest.vodia.rows import read_record
from rating.pricing.product_match import Ambiguous, Match, NoMatch, ProductIndex
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id
from ringfence_pbx.decimal_json import read_json
from ringfence_testing.records import account
from tests.support.narrow import expect

TENANT = "cffm.wat1.ictvoip.ca"


def record(**changed: Any) -> dict[str, Any]:
    return {
        "id": 77,
        "call_id": "PRA93Tta2CzVcV73Yvs8tQ..",
        "from": f'"CFFM Kitchener" <sip:2112@{TENANT}>',
        "to": f"<sip:14165550100@{TENANT}>",
        "start": 1598065445.88,
        "connect": 1598065449.88,
        "end": 1598065509.88,
        "extensions": [2112],
        "trunks": [10],
        "abandoned": False,
        **changed,
    }


def parsed(**changed: Any) -> object:
    """The record as it is read from JSON."""
    return read_record("pbx-2", TENANT, read_json(json.dumps(record(**changed)).encode()), 1)


def read(**changed: Any) -> CallCompleted:
    return expect(CallCompleted, parsed(**changed))


def inbound(**changed: Any) -> CallCompleted:
    sides = {"from": '"Ann" <sip:+15195550111@carrier.example>', "to": "<sip:5484815577@x>"}
    return read(**{**sides, **changed})


def test_an_outbound_call_is_read() -> None:
    call = read()
    assert isinstance(call, CallCompleted)
    assert call.call_id == call_id("pbx-2", "PRA93Tta2CzVcV73Yvs8tQ..")
    assert (call.source, call.tenant, call.direction) == ("vodia-pull", TENANT, "outbound")
    assert (call.extension, call.destination_number) == ("2112", "14165550100")
    assert (call.caller_name, call.billsec, call.status) == ("CFFM Kitchener", 60, "answered")
    assert call.started_at.isoformat() == "2020-08-22T03:04:05.880000+00:00"


@pytest.mark.parametrize(
    ("connect", "end", "billsec"),
    [
        (1598065449.88, 1598065509.88, 60),
        (1598065449.88, 1598065509.89, 61),
        (1598065449.10, 1598065450.10, 1),
        (1598065449.7, 1598065449.7, 0),
        (1598065449, 1598065509, 60),
        ("1598065449.88", "1598065509.88", 60),
        ("", 1598065509.88, 0),
        (None, 1598065509.88, 0),
        (0, 1598065509.88, 0),
    ],
)
def test_billsec_is_connect_to_end_rounded_up(
    connect: float | str | None, end: float | str, billsec: int
) -> None:
    """By decimal digits: in binary floats, 60.00 seconds would round up to 61."""
    assert read(connect=connect, end=end).billsec == billsec


@given(
    st.integers(min_value=10**11, max_value=2 * 10**11),
    st.integers(min_value=0, max_value=10**6),
)
def test_whole_seconds_of_hundredths_never_round_up(connect_cs: int, talk_s: int) -> None:
    """At any epoch, a call of exactly n seconds is billed n seconds."""
    talk_s %= 7 * 86_400
    connect, end = connect_cs / 100, (connect_cs + talk_s * 100) / 100
    assert read(start=connect, connect=connect, end=end).billsec == talk_s


def test_an_unanswered_call_has_no_billed_seconds() -> None:
    call = read(connect="", abandoned=True)
    assert (call.answered_at, call.billsec, call.status) == (None, 0, "abandoned")
    assert read(connect="").status == "no_answer"


@pytest.mark.parametrize(
    ("changed", "direction"),
    [
        ({}, "outbound"),
        ({"trunks": []}, "local"),
        ({"trunks": None}, "local"),
        ({"trunks": ["10"]}, "outbound"),
        ({"extensions": []}, "outbound"),
        ({"from": "<sip:210012@x>", "extensions": [210012]}, "outbound"),
        ({"from": "<sip:0123@x>", "extensions": [123]}, "outbound"),
        ({"from": "<sip:+15195550111@x>"}, "inbound"),
        ({"from": '"Anonymous" <sip:anonymous@anonymous.invalid>'}, "inbound"),
        ({"from": ""}, "inbound"),
        ({"from": "tel:+15195550111"}, "inbound"),
    ],
)
def test_the_direction_follows_from_trunk_and_caller(
    changed: dict[str, Any], direction: str
) -> None:
    assert read(**changed).direction == direction


@pytest.mark.parametrize(
    ("header", "party"),
    [
        ('"Ann Smith" <sip:2112@pbx.example>', ("Ann Smith", "2112", "pbx.example")),
        ("Ann Smith <sip:2112@pbx.example>", ("Ann Smith", "2112", "pbx.example")),
        ("<sip:2112@pbx.example>", ("", "2112", "pbx.example")),
        ('"" <sip:2112@pbx.example>', ("", "2112", "pbx.example")),
        ("sip:2112@PBX.example", ("", "2112", "pbx.example")),
        ("SIPS:2112@pbx.example:5061", ("", "2112", "pbx.example")),
        ("2112@pbx.example", ("", "2112", "pbx.example")),
        ("2112", ("", "2112", "")),
        ('"Ann" sip:2112@x', ("Ann", "2112", "x")),
        ('"A \\"B\\" \\\\ C" <sip:1@x>', ('A "B" \\ C', "1", "x")),
        ('"<sip:911@x>" <sip:2112@x>', ("<sip:911@x>", "2112", "x")),
        ('O"Brien <sip:1@x>', ('O"Brien', "1", "x")),
        ('"unclosed <sip:1@x>', ('"unclosed', "1", "x")),
        ("<sip:%2B14165550100@x>", ("", "+14165550100", "x")),
        ("<sip:+14165550100;phone-context=ca@x;user=phone>", ("", "+14165550100", "x")),
        ("<sip:2112:secret@x>", ("", "2112", "x")),
        ("<tel:+1-416-555-0100;ext=1>", ("", "+1-416-555-0100", "")),
        ("tel:4165550100", ("", "4165550100", "")),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>',
         ("Anonymous", "anonymous", "anonymous.invalid")),
        ("<sip:pbx.example>", ("", "", "pbx.example")),
        ("<sip:2112@x", ("", "2112", "x")),
        ('"Only a name"', ("Only a name", "", "")),
        ("", ("", "", "")),
    ],
)  # fmt: skip
def test_a_party_is_read_from_every_known_form_of_header(
    header: str, party: tuple[str, str, str]
) -> None:
    assert tuple(read_party(header)) == party


@given(st.text())
def test_any_header_is_read_or_refused(header: str) -> None:
    """A caller may send any text; the record is a call, or a bad row with its reason."""
    assert isinstance(inbound(**{"from": header}), CallCompleted)
    assert isinstance(parsed(to=header), CallCompleted | BadRow)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"end": ""}, "end: got '', expected Unix seconds"),
        ({"end": 1598065440}, "end: got 1598065440, expected a time not before start"),
        ({"end": 1598065448}, "expected a time not before start .* and connect"),
        ({"end": 1599065509}, "end: .*at most 604800 s after connect"),
        ({"start": True}, "start: got True"),
        ({"start": "NaN"}, "start: got 'NaN'"),
        ({"start": 12}, "start: got 12, .*between the years 2000 and 2100"),
        ({"call_id": None}, "call_id: got None, expected the call's id"),
        ({"call_id": "a\nb"}, "call_id"),
        ({"trunks": "10"}, "trunks: got '10', expected a list of ids"),
        ({"extensions": [[1]]}, "extensions: .*a list of ids"),
        ({"to": "<sip:1416\u202855@x>"}, "to: .*without control characters"),
        ({"from": ["x"]}, "from: .*expected text"),
    ],
)
def test_an_unreadable_record_is_a_bad_row_with_its_reason(
    changed: dict[str, Any], message: str
) -> None:
    row = parsed(**changed)
    assert isinstance(row, BadRow)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(row.reason)
    assert json.loads(row.raw)["id"] == 77


def test_a_record_that_is_no_object_is_a_bad_row() -> None:
    row = read_record("pbx-2", TENANT, ["x"], 3)
    assert isinstance(row, BadRow)
    assert (row.line_number, row.raw) == (3, b'["x"]')


def index(**products: Any) -> ProductIndex:
    """An index of Vodia products by name."""
    return ProductIndex(
        account(
            name,
            tenant=TENANT,
            dids=product.get("dids", ()),
            extensions=product.get("extensions", ()),
            service={"kind": "vodia", "server_id": "pbx-2", "name": name, **product},
        )
        for name, product in products.items()
    )


def owner(products: ProductIndex, call: CallCompleted) -> Ambiguous | NoMatch | str:
    """The owner of a call."""
    matched = products.match(call)
    if isinstance(matched, Match):
        return matched.account_id
    return matched


CLIENTS = {
    "one": {"extensions": ("2112",), "dids": ("5484815577",), "inbound_search": ("Kitchener",)},
    "two": {"extensions": ("8300",), "dids": ("5197830020",), "inbound_search": ("guelph",)},
}


@pytest.mark.parametrize(
    ("changed", "client"),
    [
        ({}, "one"),
        ({"from": "<sip:8300@x>", "extensions": [8300]}, "two"),
        ({"from": "<sip:+15195550111@x>", "to": "<sip:5197830020@x>"}, "two"),
        ({"from": "<sip:+15195550111@x>", "to": "<sip:+15197830020@x>"}, "two"),
        ({"from": "<sip:+15195550111@x>", "to": "<sip:8300@x>", "extensions": [8300]}, "two"),
        ({"from": "<sip:+15195550111@x>", "to": "<sip:7@x>", "extensions": [8300]}, "two"),
        ({"from": "<sip:+15195550111@x>", "to": '"GUELPH desk" <sip:7@x>', "extensions": []},
         "two"),
        ({"from": '"Bob Kitchener" <sip:+15195550111@x>', "to": "<sip:7@x>", "extensions": []},
         "one"),
    ],
)  # fmt: skip
def test_rating_finds_the_product(changed: dict[str, list[int] | str], client: str) -> None:
    assert owner(index(**CLIENTS), read(**changed)) == client


def test_an_outbound_call_is_matched_by_display_name_alone() -> None:
    products = index(named={"display_name": "CFFM Kitchener"}, other={"extensions": ("8300",)})
    call = read(**{"from": '"CFFM Kitchener" <sip:2999@x>'}, extensions=[2999])
    assert owner(products, call) == "named"


def test_no_extension_is_guessed_if_several_rang() -> None:
    call = inbound(to="<sip:7@x>", extensions=[2112, 8300])
    assert call.extension == ""
    assert isinstance(owner(index(**CLIENTS), call), NoMatch)


def test_two_products_that_match_a_search_are_both_named() -> None:
    call = inbound(to='"Kitchener or Guelph" <sip:7@x>', extensions=[])
    assert isinstance(owner(index(**CLIENTS), call), Ambiguous)
