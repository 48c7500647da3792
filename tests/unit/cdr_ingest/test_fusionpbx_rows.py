"""Rows of a FusionPBX export: which become calls, and which are bad rows."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cdr_ingest.fusionpbx.rows import REQUIRED, ExportRows, split_line
from cdr_ingest.sources.source import BadRow, BLeg
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id
from tests.support.narrow import expect

UUID = "0f4205b4-907a-40c3-9012-f037b64ce422"
GOOD = {
    "xml_cdr_uuid": UUID,
    "domain_name": "a.example.com",
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


def line(values: Iterable[str], end: str = "\n") -> bytes:
    return (",".join(f'"{value}"' for value in values) + end).encode()


def read(tenant: str | None = None, **changed: str) -> CallCompleted:
    return expect(CallCompleted, parsed(tenant, **changed))


def parsed(tenant: str | None = None, **changed: str) -> BLeg | BadRow | CallCompleted:
    row = {**GOOD, **changed}
    rows = ExportRows(line(row), server_id="pbx", tenant=tenant)
    return rows.read(line(row.values()), 2)


def test_a_call_is_read_with_its_times_in_utc() -> None:
    call = read()
    assert isinstance(call, CallCompleted)
    assert call.call_id == call_id("pbx", UUID)
    assert call.started_at == datetime(2026, 11, 21, 10, 0, 10, tzinfo=UTC)
    assert call.answered_at == datetime(2026, 11, 21, 10, 0, 14, tzinfo=UTC)
    assert call.ended_at == datetime(2026, 11, 21, 10, 1, 14, tzinfo=UTC)
    assert (call.billsec, call.tenant, call.source) == (60, "a.example.com", "fusionpbx-pull")
    assert (call.caller_name, call.extension) == ("Front Desk", "2112")


def test_the_utc_offset_of_a_stamp_is_used() -> None:
    call = read(end_stamp="2026-11-21 06:01:14-04", answer_stamp="2026-11-21 15:30:14.25+05:30")
    assert call.ended_at == datetime(2026, 11, 21, 10, 1, 14, tzinfo=UTC)
    assert call.answered_at == datetime(2026, 11, 21, 10, 0, 14, 250000, tzinfo=UTC)


@pytest.mark.parametrize("never", ["1970-01-01 00:00:00+00", "1969-12-31 19:00:00-05", ""])
def test_an_unanswered_call_has_no_answer_time(never: str) -> None:
    assert read(answer_stamp=never, billsec="0").answered_at is None


@pytest.mark.parametrize(("duration", "expected_s"), [("60", 60), ("64", 64), ("0", 60), ("", 60)])
def test_without_an_end_stamp_a_call_ends_after_its_longest_known_duration(
    duration: str, expected_s: int
) -> None:
    call = read(end_stamp="", duration=duration)
    assert (call.ended_at - call.started_at).total_seconds() == expected_s


def test_a_b_leg_is_recognised_even_if_its_other_fields_are_invalid() -> None:
    assert parsed(leg="b", direction="inbound", billsec="x") == BLeg("pbx", "a.example.com", UUID)


def test_a_b_leg_that_may_be_charged_and_cannot_be_read_is_a_bad_row() -> None:
    assert isinstance(parsed(leg="b", billsec="x"), BadRow)


def test_the_uuid_is_in_lower_case_as_in_posted_records() -> None:
    assert read(xml_cdr_uuid=UUID.upper()).call_id == read().call_id


@pytest.mark.parametrize("direction", ["inbound", "outbound", "local", ""])
def test_directions(direction: str) -> None:
    assert read(direction=direction).direction == direction


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("billsec", "-1"),
        ("billsec", "12.5"),
        ("billsec", "1,080.00"),
        ("billsec", "NaN"),
        ("billsec", "1e3"),
        ("billsec", ""),
        ("billsec", " 60"),
        ("billsec", "٣"),
        ("billsec", "604801"),
        ("billsec", "9" * 400),
        ("duration", "-3"),
        ("start_epoch", "0"),
        ("start_epoch", "99999999999"),
        ("start_epoch", "soon"),
        ("end_stamp", "2026-11-21 10:00:09+00"),
        ("end_stamp", "2026-11-21 10:01:14"),
        ("end_stamp", "21 Nov 2026"),
        ("answer_stamp", "infinity"),
        ("xml_cdr_uuid", ""),
        ("xml_cdr_uuid", "1; drop table"),
        ("leg", "c"),
        ("direction", "sideways"),
        ("destination_number", "1" * 1001),
        ("caller_destination", "1416\x00555"),
        ("domain_name", "a\x1b[31m"),
        ("extension", "2112\ufffd"),
    ],
)
def test_an_invalid_value_is_a_bad_row_with_field_value_and_expectation(
    column: str, value: str
) -> None:
    changed = {column: value, **({"end_stamp": ""} if column == "duration" else {})}
    row = {**GOOD, **changed}
    rows = ExportRows(line(row), server_id="pbx", tenant=None)
    raw = line(row.values())
    bad = rows.read(raw, 7)
    assert isinstance(bad, BadRow)
    assert (bad.raw, bad.line_number, bad.server_id) == (raw, 7, "pbx")
    assert bad.reason.startswith(f"{column}: got ")
    assert ", expected " in bad.reason
    assert len(bad.reason) < 300
    assert isinstance(rows.read(line(GOOD.values()), 8), CallCompleted), "the next one is unharmed"


def test_quotes_and_commas_inside_values_are_kept() -> None:
    assert read(caller_id_name='Sales "West"').caller_name == 'Sales "West"'
    assert read(caller_id_name="Front, Desk").caller_name == "Front, Desk"
    assert read(caller_id_name='"').caller_name == '"'
    assert read(caller_id_name='a",b').caller_name == 'a",b'


def test_a_value_that_looks_like_a_boundary_makes_a_bad_row() -> None:
    bad = parsed(caller_id_name='x","y')
    assert isinstance(bad, BadRow)
    assert bad.reason == f"columns: got {len(GOOD) + 1}, expected {len(GOOD)}, as in the header"


@pytest.mark.parametrize("name", ['x",', ',"x', ","])
def test_a_value_that_makes_a_line_ambiguous_makes_a_bad_row(name: str) -> None:
    """With `x",`, a split at the first boundary would move text into the next column."""
    bad = parsed(caller_id_name=name)
    assert isinstance(bad, BadRow)
    assert 'expected no value that begins with ," or ends in ",' in bad.reason


@pytest.mark.parametrize("raw", [b"\n", b"x\n", b'"\n', b'"a","b\n', b'b"\n', b"\xff\xfe\n", b""])
def test_a_line_that_is_no_row_is_a_bad_row(raw: bytes) -> None:
    assert isinstance(ExportRows(line(GOOD), server_id="pbx", tenant=None).read(raw, 2), BadRow)


VALUES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)
    | st.text('",ab', max_size=8),
    min_size=1,
)


@given(VALUES)
def test_any_values_without_boundary_or_line_break_are_unchanged(
    values: list[str],
) -> None:
    """Quotes and commas included, unless they form a boundary with a neighbouring value."""
    joined = '","'.join(values)
    assume(joined.count('","') == len(values) - 1)
    assume('",","' not in joined)
    assert split_line(line(values)) == values


@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_or_a_bad_row(raw: bytes) -> None:
    record = ExportRows(line(GOOD), server_id="pbx", tenant=None).read(raw, 2)
    assert isinstance(record, BadRow)


def test_a_call_with_long_or_dirty_free_text_is_accepted_with_clean_text() -> None:
    call = read(caller_id_name="x" * 2000, caller_id_number="a\x00b\tc", sip_call_id="z" * 1001)
    assert isinstance(call, CallCompleted)
    assert call.caller_name == "x" * 999 + "…"
    assert call.caller_number == "a b c"
    assert len(call.sip_call_id) == 1000


def test_free_text_of_exactly_the_limit_is_unchanged() -> None:
    assert read(caller_id_name="x" * 1000).caller_name == "x" * 1000


def test_a_call_with_a_name_of_invalid_utf8_is_accepted() -> None:
    rows = ExportRows(line(GOOD), server_id="pbx", tenant=None)
    raw = line(GOOD.values()).replace(b"Front Desk", "Caf\xe9".encode("latin-1"))
    assert expect(CallCompleted, rows.read(raw, 2)).caller_name == "Caf\ufffd"


def test_columns_are_found_by_name_in_any_order() -> None:
    backwards = dict(reversed(GOOD.items()))
    rows = ExportRows(line(backwards), server_id="pbx", tenant=None)
    assert rows.read(line(backwards.values()), 2) == read()


def test_optional_columns_may_be_missing() -> None:
    row = {name: value for name, value in GOOD.items() if name in REQUIRED}
    call = expect(
        CallCompleted,
        ExportRows(line(row), server_id="pbx", tenant="b.example.com").read(line(row.values()), 2),
    )
    assert (call.tenant, call.caller_name, call.answered_at) == ("b.example.com", "", None)
    assert (call.ended_at - call.started_at).total_seconds() == 60


@pytest.mark.parametrize("column", sorted(REQUIRED))
def test_an_export_without_a_required_column_is_refused(column: str) -> None:
    names = [name for name in GOOD if name != column]
    with pytest.raises(BadInput, match=f"expected {column} as well"):
        ExportRows(line(names), server_id="pbx", tenant=None)


def test_the_tenant_is_the_rows_or_else_the_requested_one() -> None:
    assert read(tenant="asked.example.com").tenant == "a.example.com"
    assert read(tenant="asked.example.com", domain_name="").tenant == "asked.example.com"
    bad = parsed(domain_name="")
    assert isinstance(bad, BadRow)
    assert (bad.tenant, bad.reason) == ("*", "domain_name: got '', expected a name")
