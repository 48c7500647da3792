"""Tariff files are parsed row by row before they take effect."""

import csv
import io
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.packages.terms import read_increment
from accounts.tariffs.decks.layout import DeckLayout
from accounts.tariffs.decks.reader import RowsDigest, TariffReader
from accounts.tariffs.decks.rows import BadTariffRow, TariffRow
from accounts.tariffs.decks.text_lines import MAX_LINE
from accounts.typed.decimal_text import canonical_decimal
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.tariff import rows_digest

HEADER = "Description,Prefix,RateValue,Increment"
COMMA = DeckLayout(decimal_comma=True)


def reader_of(raw: bytes, form: DeckLayout = DeckLayout()) -> TariffReader:  # noqa: B008
    return TariffReader(io.BytesIO(raw), form)


def read_raw(raw: bytes, form: DeckLayout = DeckLayout()) -> list[TariffRow]:  # noqa: B008
    """All rows of a file without bad rows."""
    reader = reader_of(raw, form)
    pieces = list(iter(lambda: reader.piece(3), []))
    rates = [rate for piece in pieces for rate in piece]
    assert reader.bad == []
    assert reader.rows == len(rates)
    return rates


def read(*lines: str, form: DeckLayout = DeckLayout()) -> list[TariffRow]:  # noqa: B008
    return read_raw("\n".join(lines).encode(), form)


def bad_rows(*lines: str, form: DeckLayout = DeckLayout()) -> list[BadTariffRow]:  # noqa: B008
    reader = reader_of("\n".join(lines).encode(), form)
    while reader.piece():
        pass
    assert len(reader.bad) == min(reader.bad_total, 100)
    return reader.bad


def refusal(raw: bytes, form: DeckLayout = DeckLayout()) -> str:  # noqa: B008
    with pytest.raises(BadInput) as refused:
        read_raw(raw, form)
    return str(refused.value)


def test_rows_are_in_file_order_and_canonical_form() -> None:
    rates = read(HEADER, "B,93,0.0100,6", "A,1204,.03,30/6", "C,112,0,1/1")
    assert rates == [
        TariffRow(2, "93", "B", "0.01", 6, 6, 1),
        TariffRow(3, "1204", "A", "0.03", 30, 6, 1),
        TariffRow(4, "112", "C", "0", 1, 1, 1),
    ]


def test_columns_are_found_by_name_in_any_order() -> None:
    rates = read(
        "Status,PREFIX,Carrier,Increment,Description,Rate value",
        "0,1204,x,6,Manitoba,0.01",
        ",1205,y,6,Alabama,0.01",
        form=DeckLayout(ignored=("carrier",)),
    )
    assert [rate.status for rate in rates] == [0, 1]


def test_columns_that_nothing_reads_are_refused_until_they_are_named() -> None:
    raw = f"{HEADER},Valid from,Surcharge,Carrier\nA,1204,0.01,6,2027-01-01,0.05,x".encode()
    message = refusal(raw, DeckLayout(ignored=("carrier",)))
    assert '--ignore-columns "Valid from,Surcharge"' in message
    assert '--map "EffectiveDate=Valid from"' in message
    assert '--map "ConnectionFee=Surcharge"' in message
    assert len(read_raw(raw, DeckLayout(ignored=("Valid from", "SURCHARGE", "carrier")))) == 1


def test_remarks_are_kept_as_written() -> None:
    (rate,) = read(
        "Description,Prefix,RateValue,Increment,OldRate,ShortDescription,Lastratechangedate,"
        "RatePremium,status",
        "Manitoba,1204,0.01,6, 0.0200 ,MB,08/01/2026,,1",
    )
    assert rate[7:11] == ("MB", "08/01/2026", "0.0200", None)


def test_columns_are_found_as_they_are_mapped() -> None:
    form = DeckLayout({"Prefix": "Code", "RateValue": "price", "OldRate": "was"})
    (rate,) = read("Was,Code,Price,Increment,Description", "9,1204,.01,6,Manitoba", form=form)
    assert (rate.prefix, rate.rate, rate.old_rate) == ("1204", "0.01", "9")


@pytest.mark.parametrize(
    ("header", "mapping", "expected"),
    [
        ("Description,Code,Price,Increment", {"Prefix": "Code"}, "missing: RateValue"),
        (HEADER, {"Prefix": "Code"}, "missing: Code (mapped to Prefix)"),
        (HEADER, {"OldRate": "Was"}, "missing: Was (mapped to OldRate)"),
        (f"{HEADER},prefix", {}, "more than once: Prefix"),
    ],
)
def test_a_header_that_lacks_a_column_is_refused_with_what_it_has(
    header: str, mapping: Mapping[str, str], expected: str
) -> None:
    message = refusal(f"{header}\nA,1,2,3".encode(), DeckLayout(mapping))
    assert expected in message
    assert header.replace(",", ", ") in message


def test_a_byte_order_mark_crlf_and_blank_lines_are_accepted() -> None:
    raw = f'\ufeff{HEADER}\r\n\r\n"Place, with comma",1204,0.01,6\r\n,,,\r\n'
    (rate,) = read_raw(raw.encode())
    assert (rate.description, rate.line) == ("Place, with comma", 3)


@pytest.mark.parametrize("delimiter", [None, ";"])
def test_semicolons_are_detected_or_declared(delimiter: str | None) -> None:
    form = DeckLayout(delimiter=delimiter, decimal_comma=True)
    (rate,) = read("Description;Prefix;RateValue;Increment", "A, B;1204;,03;30/6", form=form)
    assert (rate.description, rate.rate) == ("A, B", "0.03")


def test_a_declared_delimiter_is_used_for_any_header() -> None:
    assert "Prefix" in refusal(HEADER.encode() + b"\nA,1,2,3", DeckLayout(delimiter=";"))


@pytest.mark.parametrize(
    ("rate", "form", "expected"),
    [
        ("0.01", COMMA, "decimal comma that was declared"),
        ('"1.080"', COMMA, "decimal comma that was declared"),
        ('"0,01"', DeckLayout(), "a decimal comma must be declared"),
    ],
)
def test_a_decimal_comma_counts_only_when_it_is_declared(
    rate: str, form: DeckLayout, expected: str
) -> None:
    (bad,) = bad_rows(HEADER, f"A,1204,{rate},6", form=form)
    assert bad.field == "RateValue"
    assert expected in bad.expected


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("A,12x4,0.01,6", "Prefix"),
        ("A,,0.01,6", "Prefix"),
        ("A,+,0.01,6", "Prefix"),
        ("A,01204,0.01,6", "Prefix"),
        ("A,1 204,0.01,6", "Prefix"),
        ("A,1204-1202,0.01,6", "Prefix"),
        ("A,1204-12059,0.01,6", "Prefix"),
        ('"A","1204,",0.01,6', "Prefix"),
        ("A,1204120412041204,0.01,6", "Prefix"),
        ("A,\u0661\u0662,0.01,6", "Prefix"),
        ("A,1204,-0.01,6", "RateValue"),
        ("A,1204,1e3,6", "RateValue"),
        ("A,1204,NaN,6", "RateValue"),
        ("A,1204,,6", "RateValue"),
        ('A,1204,"1,080",6', "RateValue"),
        ('A,1204,"1,08.00",6', "RateValue"),
        ("A,1204,$$1,6", "RateValue"),
        ("A,1204,0.0000000000001,6", "RateValue"),
        ("A,1204,1000000.000001,6", "RateValue"),
        ("A,1204,0.01,0", "Increment"),
        ("A,1204,0.01,30/0", "Increment"),
        ("A,1204,0.01,", "Increment"),
        ("A,1204,0.01,1.5", "Increment"),
        ("A,1204,0.01,99999999", "Increment"),
        ("A,1204,0.01", "row"),
        ("A,1204,0,01,6", "row"),
        ("Korea, South,82,0.01,6", "row"),
        ('"A"x,1204,0.01,6', "row"),
        ('"never closed,1,0.01,6', "row"),
        ('"two\nlines",1204,0.01,6', "Description"),
        (f"{'x' * 201},1204,0.01,6", "Description"),
        ("A\x00,1204,0.01,6", "Description"),
    ],
)
def test_a_bad_row_is_reported_by_its_first_line_and_field(row: str, field: str) -> None:
    (found,) = bad_rows(HEADER, "Canada,1,0.01,6", "", row)
    assert (found.line, found.field) == (4, field)


def test_rows_after_an_unreadable_one_are_read() -> None:
    found = bad_rows(HEADER, '"A"x,1204,0.01,6', "Canada,1,0.01,6", "B,zero,0.01,6")
    assert [(row.line, row.field) for row in found] == [(2, "row"), (4, "Prefix")]


def test_a_row_with_too_many_cells_is_refused() -> None:
    """Otherwise an undeclared, unquoted `0,01` would be a rate of 0 with an increment of 1."""
    (bad,) = bad_rows("Prefix,RateValue,Increment,Description", "1204,0,01,6,Manitoba")
    assert bad.field == "row"


def test_a_row_with_too_few_cells_is_refused() -> None:
    """Otherwise this row without its OldRate would have a rate of 6 and an increment of 1."""
    header = "Description,Prefix,OldRate,RateValue,Increment,status"
    (bad,) = bad_rows(header, "Canada,1,0.01,6,1")
    assert (bad.field, bad.expected) == ("row", "6 columns")


def test_empty_cells_at_the_end_of_lines_are_accepted() -> None:
    assert len(read(f"{HEADER},,", "A,1204,0.01,6", "B,1205,0.01,6,,,")) == 2


def test_all_bad_rows_are_counted_and_the_first_hundred_kept() -> None:
    reader = reader_of("\n".join([HEADER, *(f"A,x{n},0.01,6" for n in range(250))]).encode())
    assert reader.piece() == []
    assert (reader.bad_total, len(reader.bad), reader.bad[-1].line) == (250, 100, 101)


def test_formula_text_is_text() -> None:
    (rate,) = read(HEADER, '"=cmd(""|calc"")",1204,0.01,6')
    assert rate.description == '=cmd("|calc")'


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n \n",
        HEADER.encode(),
        b"Description,Prefix,RateValue\nA,1,2",
        HEADER.replace(",", "\r").encode(),
        f"{HEADER}\n{'x' * (MAX_LINE + 1)}".encode(),
    ],
)
def test_a_file_that_is_not_a_tariff_is_refused(raw: bytes) -> None:
    refusal(raw)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (f"{HEADER}\nCaf\u00e9,33,0.01,6".encode("latin-1"), "line 2, byte 4: 0xE9"),
        (HEADER.encode("utf-16")[:-1], "line 1"),
        (f"{HEADER}\nA,1,0.01,6\n".encode() + b"\xc3", "line 3, byte 1: 0xC3"),
        (f"{HEADER}\n".encode() + b"\xed\xa0\x80,1,0.01,6", "line 2, byte 1: 0xED"),
    ],
)
def test_text_that_is_not_utf_8_is_refused_with_line_and_byte(raw: bytes, place: str) -> None:
    assert place in refusal(raw)


def test_the_digest_depends_on_the_rows_alone() -> None:
    """The algorithm is fixed: rating checks the rows that it loads against this digest."""
    rates = [("1204", "Manitoba", "0.03", 30, 6, 1), ("33", "Caf\u00e9", "0.02", 6, 6, 1)]
    digest = RowsDigest()
    digest.add(rates[:1])
    digest.add(rates[1:])
    assert digest.hex() == "8dd76c4415c6c4006abe3247e81619fb9c4727083b5af9dc6a9f4ae4946d2b97"
    assert digest.hex() == rows_digest(rates)


@given(st.text(max_size=200))
def test_any_text_is_a_tariff_or_refused(text: str) -> None:
    reader = reader_of(f"{HEADER}\n{text}".encode("utf-8", "surrogatepass"))
    try:
        rates = reader.piece(10_000)
    except BadInput:
        return
    assert all(rate.initial_s >= 1 and rate.increment_s >= 1 for rate in rates)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_tariff_or_refused(raw: bytes) -> None:
    reader = reader_of(HEADER.encode() + raw)
    try:
        rates = reader.piece(10_000)
    except BadInput:
        return
    assert rates or reader.bad


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" ,;\"'="),
    max_size=30,
).map(str.strip)
ROW = st.tuples(
    TEXT,
    st.from_regex(r"[1-9][0-9]{0,14}", fullmatch=True),
    st.decimals(0, 1000, places=6, allow_nan=False),
    st.tuples(st.integers(1, 86_400), st.integers(1, 86_400)),
    st.sampled_from(["0", "1"]),
    st.booleans(),
)


@given(
    st.lists(ROW, min_size=1, max_size=20),
    st.sampled_from(",;"),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_rows_are_read_from_every_way_to_write_them(
    rows: list[tuple[str, str, Decimal, tuple[int, int], str, bool]],
    delimiter: str, ending: str, mark: bool, comma: bool, quoting: Literal[0, 1],
) -> None:  # fmt: skip
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    writer.writerow([*HEADER.split(","), "status", "OldRate"])
    for text, prefix, rate, (initial, more), status, leading_dot in rows:
        typed = f"{rate:f}"
        typed = typed.removeprefix("0") if leading_dot and rate < 1 else typed
        typed = typed.replace(".", ",") if comma else typed
        increment = str(more) if initial == more else f"{initial}/{more}"
        writer.writerow([text, prefix, typed, increment, status, text])
    raw = out.getvalue().encode("utf-8-sig" if mark else "utf-8")
    found = read_raw(raw, DeckLayout(decimal_comma=comma))
    assert [
        (r.description, r.prefix, Decimal(r.rate), (r.initial_s, r.increment_s), str(r.status))
        for r in found
    ] == [row[:5] for row in rows]
    assert [rate.old_rate for rate in found] == [row[0] or None for row in rows]


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [(".03", "0.03"), ("0.0100", "0.01"), ("7.", "7"), ("007", "7"), ("0", "0"), (".0", "0")],
)
def test_decimals_have_one_form(typed: str, canonical: str) -> None:
    assert canonical_decimal(typed) == canonical


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("6", (6, 6)), ("30/6", (30, 6)), (" 1/1 ", (1, 1)), ("0/6", None), ("6/", None), ("", None)],
)
def test_increments(typed: str, seconds: tuple[int, int] | None) -> None:
    assert read_increment(typed) == seconds
