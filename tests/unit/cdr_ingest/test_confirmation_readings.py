"""What the export of one call says for certain, whatever its texts hold."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_ingest.confirmation.readings import OneCall, read_one_call
from cdr_ingest.sources.source import BadRow
from ringfence_contracts.events.call import CallCompleted
from ringfence_simulators.fusionpbx.calls import SimulatedFusionPbxCall, export_csv, make_call
from tests.support.narrow import expect, present

MINE, OTHERS = "attacker.example.com", "victim.example.com"
ME = "0f4205b4-907a-40c3-9012-f037b64ce422"
START = 1795255210
TEXTS = (
    *("sip_call_id", "extension", "extension_name", "caller_id_name", "caller_id_number"),
    *("caller_destination", "source_number", "destination_number"),
)
"""The columns that a tenant's administrator or a telephone writes."""


def made(**changed: Any) -> SimulatedFusionPbxCall:
    spec = {
        "xml_cdr_uuid": ME,
        "domain_name": MINE,
        "direction": "outbound",
        "extension": "2112",
        "start_epoch": START,
        "billsec": 60,
        "caller_destination": "14165550100",
        "destination_number": "14165550100",
        **changed,
    }
    return make_call(spec, "7b1f2c1e-1111-4a57-9a83-0a5d6c4a0001", START + 64)


def body_of(call: SimulatedFusionPbxCall, *, show_all: bool = True) -> str:
    return export_csv([(call, call.columns)], superadmin=True, show_all=show_all).decode()


def read(**changed: Any) -> OneCall:
    return present(read_one_call(body_of(made(**changed)), ME, server_id="pbx", tenant=None))


def forged_line(**changed: Any) -> str:
    """A whole row of the victim, as its line in an export."""
    row = made(domain_name=OTHERS, xml_cdr_uuid="11111111-2222-4333-8444-555555555555", **changed)
    return body_of(row).splitlines()[1]


@pytest.mark.parametrize("column", TEXTS)
@pytest.mark.parametrize("text", ['Sales "West"', "Front, Desk", "two\nlines", '"quoted"', "ä漢🙂"])
def test_odd_text_is_read_exactly(column: str, text: str) -> None:
    one = read(**{column: text})
    is_number = column in ("extension", "caller_destination", "destination_number")
    if is_number and "\n" in text:
        assert isinstance(one.record, BadRow)
    else:
        assert (expect(CallCompleted, one.record).tenant, one.dialled) == (MINE, "")


def test_a_name_with_the_end_of_a_column_leaves_an_outbound_call_certain() -> None:
    one = read(caller_id_name='Bob","x')
    call = expect(CallCompleted, one.record)
    assert (call.extension, call.destination_number, call.billsec) == ("2112", "14165550100", 60)
    assert one.dialled == "14165550100", "the PBX must find the call by it"


@pytest.mark.parametrize(
    "changed",
    [
        {"extension_name": 'Bob","x'},
        {"extension": '2112","9999'},
        {"sip_call_id": 'x","9999'},
        {"caller_id_name": 'Bob","x', "direction": "inbound"},
        {"caller_id_name": 'Bob","x', "destination_number": "*97"},
        {"extension_name": 'x",', "caller_id_name": ',"y'},
    ],
)
def test_a_row_whose_extension_or_number_is_uncertain_is_not_read(changed: dict[str, str]) -> None:
    one = read(**changed)
    assert one.record is None
    assert one.reason


def test_the_talk_time_of_a_row_that_is_not_read_is_found_from_its_id() -> None:
    assert read(extension_name='Bob","x', billsec=3600).billsec == 3600


def test_an_export_of_another_call_is_not_believed() -> None:
    other = read_one_call(body_of(made()), ME.replace("0", "1"), server_id="pbx", tenant=None)
    assert present(other).record is None


@pytest.mark.parametrize("body", ["\n\n", "", "\n"])
def test_an_empty_export_holds_no_call(body: str) -> None:
    assert read_one_call(body, ME, server_id="pbx", tenant=None) is None


pieces = st.sampled_from(
    ['"', ",", '","', "\n", '",\n"', "2112", "9999", ME, "outbound", "60", "1", str(START), "a"]
)
hostile = st.one_of(
    st.lists(pieces, max_size=12).map("".join),
    st.builds(lambda head, tail: f'{head}"\n{forged_line()}\n"{tail}', st.text(), st.text()),
    # The block of this very call, with another talk time: the name is joined when it is exported.
    st.builds(
        lambda ext, n: '","'.join((ext, "n", *block_of(n))), st.sampled_from(["9999", ""]),
        st.integers(0, 3),
    ),
    st.text(st.characters(codec="utf-8"), max_size=20),
)  # fmt: skip


def block_of(billsec: int) -> list[str]:
    """The values from start_stamp to billsec of this call, with another talk time."""
    values = body_of(made(billsec=billsec)).splitlines()[1].strip('"').split('","')
    return values[4:18]


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(TEXTS, hostile)), st.booleans())
def test_no_text_changes_what_is_charged(texts: dict[str, str], show_all: bool) -> None:
    """Whatever texts hold: what is read is the true row's, or nothing is read."""
    call = made(**texts)
    tenant = None if show_all else MINE
    one = read_one_call(body_of(call, show_all=show_all), ME, server_id="pbx", tenant=tenant)
    record = present(one).record
    if one is None or record is None or isinstance(record, BadRow):
        return
    read_call, true = expect(CallCompleted, record), call.columns
    found = (read_call.tenant, read_call.source_call_id, read_call.direction, read_call.billsec)
    assert found == (MINE, ME, "outbound", 60)
    assert int(read_call.started_at.timestamp()) == START
    if one.dialled:
        # Believed only if the PBX finds the call by this number.
        assert read_call.extension == true["extension"]
        if true["destination_number"] == one.dialled:
            assert read_call.destination_number == true["destination_number"]
    else:
        for field in ("extension", "destination_number", "caller_destination"):
            assert getattr(read_call, field) == true[field]


def test_the_fuzz_would_notice_a_wrong_extension() -> None:
    """The property is about values that hostile texts do reach."""
    call = made(extension_name="x", sip_call_id="y")
    swapped = replace(call, columns={**call.columns, "extension": "9999"})
    one = read_one_call(body_of(swapped), ME, server_id="pbx", tenant=None)
    assert expect(CallCompleted, present(one).record).extension == "9999"
