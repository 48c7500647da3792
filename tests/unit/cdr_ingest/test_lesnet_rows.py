"""Rows of Les.net files are read by their profile, and nothing is guessed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdr_ingest.lesnet.cdr_file import CdrFile, CutOff, NotAFile, Report
from cdr_ingest.sources.source import BadRow
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted
from ringfence_pbx.lesnet.profile import Profile
from ringfence_pbx.lesnet.profile_file import default_profile, load_profile
from ringfence_pbx.servers import LesnetLink
from tests.support.narrow import expect

SYNTHETIC = Path(__file__).parents[2] / "fixtures" / "lesnet-synthetic"
PEER, DID = "D4E3CD2BFC791", "12046664021"
LINK = LesnetLink(url="https://cdr.example/cdr/11330_0000.txt", peer=PEER.lower(), dids=(DID,))
HEADER = "Date,Source,Destination,Duration"
CALL = f"2026-11-20 09:00:00,{DID},14165550100,61"


def profile(**changed: Any) -> Profile:
    fields = default_profile().model_dump(exclude_none=True, exclude_defaults=True)
    columns = {k: v for k, v in fields["columns"].items() if v is not None}
    columns |= changed.pop("columns", {})
    return Profile.model_validate({**fields, **changed, "columns": columns})


def records(
    text: bytes | str, using: Profile | None = None, link: LesnetLink = LINK
) -> list[BadRow | CallCompleted]:
    body = text if isinstance(text, bytes) else text.encode()
    return list(CdrFile(body, server_id="les", link=link, profile=using or profile()).records())


def calls(
    text: bytes | str, using: Profile | None = None, link: LesnetLink = LINK
) -> list[CallCompleted]:
    """The calls of a file without bad rows."""
    return [expect(CallCompleted, record) for record in records(text, using, link)]


def lines(*rows_of_file: str, header: str = HEADER) -> str:
    return "\n".join((header, *rows_of_file, ""))


def rows(
    *rows_of_file: str, using: Profile | None = None, link: LesnetLink = LINK, header: str = HEADER
) -> list[BadRow | CallCompleted]:
    return records(lines(*rows_of_file, header=header), using, link)


def only(*lines: str, **how: Any) -> CallCompleted:
    (record,) = rows(*lines, **how)
    assert isinstance(record, CallCompleted), record
    return record


def refused(*lines: str, **how: Any) -> str:
    (record,) = rows(*lines, **how)
    assert isinstance(record, BadRow), record
    return record.reason


def test_an_outbound_call_is_read_by_the_default_profile() -> None:
    call = only(CALL)
    assert (call.tenant, call.direction, call.source) == (PEER, "outbound", "lesnet-file")
    assert call.started_at == call.answered_at == datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    assert call.ended_at == datetime(2026, 11, 20, 15, 1, 1, tzinfo=UTC)
    assert (call.billsec, call.caller_number, call.destination_number) == (61, DID, "14165550100")
    name, identity, ordinal = call.source_call_id.split(":")
    assert (name, len(identity), ordinal) == ("cdr.example/cdr/11330_0000.txt", 32, "1")


def test_a_call_to_the_links_did_is_inbound_with_10_or_11_digits() -> None:
    assert only("2026-11-20 09:00:00,14165550111,2046664021,5").direction == "inbound"
    assert only("2026-11-20 09:00:00,14165550111,+1 (204) 666-4021,5").direction == "inbound"


def test_an_unanswered_call_has_no_answer_time() -> None:
    assert only(f"2026-11-20 09:00:00,{DID},14165550100,0").answered_at is None


def test_another_format_is_read_by_another_profile() -> None:
    link = LesnetLink(url="https://cdr.example/x", name="x")
    body = (SYNTHETIC / "semicolon.txt").read_bytes()
    out, inbound = calls(body, load_profile(SYNTHETIC / "semicolon.toml"), link)
    assert (out.tenant, out.direction, out.billsec) == (PEER, "outbound", 90)
    assert (out.caller_number, out.source_number) == ("Büro; West", DID)
    assert out.started_at == datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
    assert (inbound.direction, inbound.billsec) == ("inbound", 60_015)
    assert (inbound.caller_destination, inbound.source_number) == (DID, "")


def test_columns_of_fixed_widths_are_read() -> None:
    body = (SYNTHETIC / "fixed.txt").read_bytes()
    out, inbound = calls(body, load_profile(SYNTHETIC / "fixed.toml"))
    assert (out.billsec, out.direction, out.status) == (61, "outbound", "A")
    assert (inbound.billsec, inbound.direction) == (30, "inbound")
    (bad,) = records(b"20261120090000 12046664021    14165550100      1:01 A and more\n",
                     load_profile(SYNTHETIC / "fixed.toml"))  # fmt: skip
    assert "at most 53" in expect(BadRow, bad).reason


@pytest.mark.parametrize(
    ("unit", "text", "seconds"),
    [
        ("seconds", "61", 61),
        ("seconds", "61.5", 62),
        ("h:mm:ss", "1:01:01", 3661),
        ("m:ss", "61:01", 3661),
        ("minutes", "1.5", 90),
        ("minutes", "0.008", 0),
        ("seconds", "604800", 604_800),
    ],
)
def test_a_duration_is_read_in_the_profiles_unit(unit: str, text: str, seconds: int) -> None:
    line = f"2026-11-20 09:00:00,{DID},14165550100,{text}"
    assert only(line, using=profile(duration_unit=unit)).billsec == seconds


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("seconds", "1:01"),
        ("seconds", "-1"),
        ("seconds", ""),
        ("seconds", "6e3"),
        ("seconds", "604801"),
        ("seconds", "٣"),
        ("seconds", "1 000"),
        ("h:mm:ss", "1:61:00"),
        ("h:mm:ss", "61"),
        ("m:ss", "1:01:01"),
        ("m:ss", "1:1"),
        ("minutes", "NaN"),
        ("minutes", "1e9999"),
    ],
)
def test_a_duration_in_another_unit_does_not_fit(unit: str, text: str) -> None:
    line = f"2026-11-20 09:00:00,{DID},14165550100,{text}"
    assert "duration: got" in refused(line, using=profile(duration_unit=unit))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.234,5", 74_070), ("12,5", 750), ("1234", 74_040), ("1.23,5", None), ("1,2,3", None)],
)
def test_decimal_commas_and_thousands_separators_are_read(text: str, seconds: int | None) -> None:
    using = profile(delimiter=";", duration_unit="minutes", decimal=",", thousands=".")
    header, line = HEADER.replace(",", ";"), f"2026-11-20 09:00:00;{DID};14165550100;{text}"
    (record,) = rows(line, using=using, header=header)
    assert getattr(record, "billsec", None) == seconds


class TestTimes:
    """America/Winnipeg: 02:00 is skipped on 8 March 2026, 01:00 occurs twice on 1 November."""

    def test_a_repeated_hour_is_read_as_the_first_one(self) -> None:
        call = only(f"2026-11-01 01:30:00,{DID},14165550100,5")
        assert call.started_at == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)

    def test_a_skipped_time_is_read_with_the_offset_before_the_change(self) -> None:
        call = only(f"2026-03-08 02:30:00,{DID},14165550100,5")
        assert call.started_at == datetime(2026, 3, 8, 8, 30, tzinfo=UTC)

    @pytest.mark.parametrize("text", ["20/11/2026 09:00", "2026-02-30 09:00:00", "", "0026-01-01"])
    def test_a_time_of_another_format_does_not_fit(self, text: str) -> None:
        assert "start: got" in refused(f"{text},{DID},14165550100,5")

    def test_a_time_with_an_offset_needs_no_zone(self) -> None:
        using = profile(dates=("%Y-%m-%dT%H:%M:%S%z",))
        call = only(f"2026-11-20T09:00:00+02:00,{DID},14165550100,5", using=using)
        assert call.started_at == datetime(2026, 11, 20, 7, 0, tzinfo=UTC)


class TestDirection:
    def refuse(self) -> Profile:
        return profile(direction={"rule": "did", "otherwise": "refuse"})

    def test_the_profile_decides_for_a_call_without_a_did(self) -> None:
        line = "2026-11-20 09:00:00,14165550111,14165550100,5"
        assert only(line).direction == "outbound"
        assert "not neither" in refused(line, using=self.refuse())

    def test_a_call_between_two_dids_is_refused(self) -> None:
        assert "not both" in refused(f"2026-11-20 09:00:00,{DID},{DID},5")

    def test_an_unknown_direction_does_not_fit(self) -> None:
        rule = {"rule": "column", "values": {"in": "inbound", "Out": "outbound"}}
        using = profile(direction=rule, columns={"direction": "Way"})
        header = f"{HEADER},Way"
        assert only(f"{CALL}, OUT ", using=using, header=header).direction == "outbound"
        assert only(f"{CALL},in", using=using, header=header).direction == "inbound"
        assert "direction: got 'x'" in refused(f"{CALL},x", using=using, header=header)

    def test_all_rows_may_have_one_direction(self) -> None:
        assert only(CALL, using=profile(direction={"rule": "inbound"})).direction == "inbound"


class TestTenant:
    HEADER = f"{HEADER},Peer,DID"

    def named(self, by: str, row: str, link: LesnetLink = LINK) -> BadRow | CallCompleted:
        using = profile(tenant=by, columns={"peer": "Peer", "did": "DID"})
        return rows(f"{CALL},{row}", using=using, link=link, header=self.HEADER)[0]

    def test_a_row_may_have_its_peer_and_its_did(self) -> None:
        assert self.named("peer", f"{PEER.lower()},{DID}").tenant == PEER
        call = expect(CallCompleted, self.named("did", f",1-204-666-4021"))  # noqa: F541
        assert (call.tenant, call.source_number) == (DID, DID)

    def test_a_row_of_another_peer_than_the_links_does_not_fit(self) -> None:
        assert (
            "the link's peer" in expect(BadRow, self.named("peer", f"AAAACD2BFC791,{DID}")).reason
        )
        link = LINK.model_copy(update={"peer": ""})
        assert self.named("peer", f"AAAACD2BFC791,{DID}", link).tenant == "AAAACD2BFC791"

    @pytest.mark.parametrize(("by", "row"), [("peer", "D4E3,1"), ("did", f"{PEER},12"),
                                             ("peer", f",{DID}"), ("did", f"{PEER},")])  # fmt: skip
    def test_an_invalid_peer_id_or_did_does_not_fit(self, by: str, row: str) -> None:
        assert isinstance(self.named(by, row), BadRow)


def test_equal_rows_of_a_file_are_separate_calls() -> None:
    first, second, third = calls(lines(CALL, CALL, CALL))
    assert [r.source_call_id[-2:] for r in (first, second, third)] == [":1", ":2", ":3"]
    assert len({first.call_id, second.call_id, third.call_id}) == 3


def test_the_ids_of_different_calls_do_not_depend_on_their_order() -> None:
    """Listed in reverse order the next day, each call keeps its id."""
    other = ("10:00", "09:00"), ("14165550100", "14165550101"), (",61", ",62"), (DID, "1204")
    for old, new in other:
        line = CALL.replace(old, new) if old in CALL else CALL.replace(new, old)
        assert line != CALL
        first, second = calls(lines(CALL, line))
        assert [c.call_id for c in calls(lines(line, CALL))] == [second.call_id, first.call_id]


def test_the_same_rows_in_the_next_days_file_are_the_same_calls() -> None:
    later = "2026-11-21 09:00:00,12046664021,14165550100,5"
    today, tomorrow = calls(lines(CALL, CALL)), calls(lines(later, CALL, CALL))
    assert {c.call_id for c in today} < {c.call_id for c in tomorrow}
    assert len(tomorrow) == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"zone": "UTC"},
        {"direction": {"rule": "inbound"}},
        {"delimiter": ";"},
        {"dates": ("%d/%m/%Y %H:%M:%S",)},
        {"duration_unit": "m:ss"},
    ],
)
def test_a_corrected_profile_does_not_make_old_calls_new(changed: dict[str, Any]) -> None:
    line, header = CALL, HEADER
    if "delimiter" in changed:
        line, header = line.replace(",", ";"), header.replace(",", ";")
    if "dates" in changed:
        line = line.replace("2026-11-20", "20/11/2026")
    if "duration_unit" in changed:
        line = line.replace(",61", ",1:01")
    assert only(line, using=profile(**changed), header=header).call_id == only(CALL).call_id


def test_a_new_column_does_not_make_old_calls_new() -> None:
    wider = only(f"x,{CALL},0.05", header=f"Extra,{HEADER},Cost")
    assert wider.call_id == only(CALL).call_id


def test_the_ids_of_a_named_link_do_not_change_with_its_url() -> None:
    named = LINK.model_copy(update={"name": "acme"})
    moved = named.model_copy(update={"url": "https://new.example/1.txt"})
    assert only(CALL, link=named).call_id == only(CALL, link=moved).call_id
    assert only(CALL, link=LINK).call_id != only(CALL, link=named).call_id


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2026-11-20 09:00:00,12046664021,14165550100", "got '3 values', expected 4"),
        (f"{CALL},1", "got '5 values', expected 4"),
        ('2026-11-20 09:00:00,"1204,14165550100,5', "can be separated"),
        (f"2026-11-20 09:00:00,{DID},,5", "callee: got ''"),
        (f"2026-11-20 09:00:00,{DID},1416\x00555,5", "control characters"),
        ("x" * 20_000, "at most 10000"),
    ],
)
def test_a_line_that_does_not_fit_is_a_bad_row_with_its_number_and_reason(
    line: str, message: str
) -> None:
    good, last = rows(CALL, line)
    bad = expect(BadRow, last)
    assert isinstance(good, CallCompleted)
    assert (bad.line_number, bad.raw, bad.tenant) == (3, line.encode()[:10_000], PEER)
    assert message in expect(BadRow, bad).reason


def test_bytes_of_another_encoding_do_not_fit() -> None:
    good, bad = records(f"{HEADER}\n{CALL}\n2026-11-20,B".encode() + b"\xfcro,1,1\n")
    assert isinstance(good, CallCompleted)
    assert "text in utf-8" in expect(BadRow, bad).reason


def test_blank_lines_repeated_headers_and_a_byte_order_mark_are_ignored() -> None:
    body = b"\xef\xbb\xbf" + f"\n{HEADER}\r\n{CALL}\r\n\r\n  \r\n{HEADER}\r\n".encode()
    (call,) = calls(body)
    assert call.call_id == only(CALL).call_id


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Date,Source,Destination,Seconds", "column Duration as well"),
        ("Date,Source,Destination,Duration,duration", "column Duration once"),
        (CALL, "column Date as well"),
    ],
)
def test_a_header_without_the_profiles_columns_refuses_the_file(header: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        rows(CALL, header=header)


def test_an_empty_file_has_no_calls() -> None:
    assert records(b"") == records(b"\n") == records(f"{HEADER}\n") == []


@pytest.mark.parametrize("page", ["<!DOCTYPE html><p>", "\n <html><body>Log in", "<?xml"])
def test_a_web_page_is_not_a_cdr_file(page: str) -> None:
    with pytest.raises(NotAFile):
        records(page)


def test_a_file_without_a_final_newline_is_incomplete_unless_the_profile_allows_it() -> None:
    text = f"{HEADER}\n{CALL}\n2026-11-20 09:0"
    with pytest.raises(CutOff, match="ends_in_newline"):
        records(text)
    whole = f"{HEADER}\n{CALL}"
    assert len(records(whole, profile(ends_in_newline=False))) == 1


def report(good: int, bad: int) -> Report:
    found = Report()
    found.add(rows(*[CALL] * good, *["broken"] * bad))
    return found


def test_a_file_is_refused_if_too_many_lines_do_not_fit() -> None:
    at_the_limit, above = report(95, 5), report(94, 6)
    assert at_the_limit.refusal(5.0) is None
    assert "6 of 100 lines (6.0 %)" in (above.refusal(5.0) or "")
    assert "line 96: line: got '1 values'" in (above.refusal(5.0) or "")
    assert report(0, 0).refusal(0.0) is None
    assert report(1, 1).refusal(0.0)


def test_a_report_has_the_repeated_rows_and_the_newest_row() -> None:
    found = Report()
    found.add(records((SYNTHETIC / "default.txt").read_bytes()))
    assert (found.fits, found.unfit, found.repeated) == (6, 0, 2)
    assert found.newest_at == datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
