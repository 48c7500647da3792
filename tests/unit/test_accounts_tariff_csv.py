"""Tariff files, as read before anything of them takes effect."""

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.decimal_text import canonical_decimal
from accounts.packages import read_increment
from accounts.tariff_csv import BadTariff, Rate, read_rates, rows_digest
from ringfence.errors import BadInput

HEADER = "Description,Prefix,RateValue,Increment"


def read(*lines: str) -> list[Rate]:
    return read_rates(io.StringIO("\n".join(lines), newline=""))


def test_rows_come_in_the_order_of_their_prefixes_in_canonical_form() -> None:
    rates = read(HEADER, "B,93,0.0100,6", "A,1204,.03,30/6", "C,112,0,1/1")
    assert rates == [
        Rate("112", "C", "0", 1, 1, 1),
        Rate("1204", "A", "0.03", 30, 6, 1),
        Rate("93", "B", "0.01", 6, 6, 1),
    ]


def test_columns_are_found_by_name_in_any_order_and_others_are_let_be() -> None:
    rates = read(
        "Status,PREFIX,OldRate,Increment,Description,RateValue",
        "0,1204,9,6,Manitoba,0.01",
        ",1205,9,6,Alabama,0.01",
    )
    assert [rate.status for rate in rates] == [0, 1]


def test_a_byte_order_mark_crlf_and_blank_lines_are_no_matter() -> None:
    raw = f'\ufeff{HEADER}\r\n\r\n"Place, with comma",1204,0.01,6\r\n,,,\r\n'
    (rate,) = read_rates(io.StringIO(raw, newline=""))
    assert rate.description == "Place, with comma"


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("A,12x4,0.01,6", "Prefix"),
        ("A,,0.01,6", "Prefix"),
        ("A,+1204,0.01,6", "Prefix"),
        ("A,1204120412041204,0.01,6", "Prefix"),
        ("A,1204,-0.01,6", "RateValue"),
        ("A,1204,1e3,6", "RateValue"),
        ("A,1204,NaN,6", "RateValue"),
        ("A,1204,,6", "RateValue"),
        ('A,1204,"1,080.00",6', "RateValue"),
        ("A,1204,0.0000000000001,6", "RateValue"),
        ("A,1204,0.01,0", "Increment"),
        ("A,1204,0.01,30/0", "Increment"),
        ("A,1204,0.01,", "Increment"),
        ("A,1204,0.01,1.5", "Increment"),
        ("A,1204,0.01,99999999", "Increment"),
        ("A,1204", "row"),
        ('"two\nlines",1204,0.01,6', "Description"),
        ("A,1,0.02,6", "Prefix"),
    ],
)
def test_a_bad_row_is_named_by_line_and_field(row: str, field: str) -> None:
    with pytest.raises(BadTariff) as bad:
        read(HEADER, "Canada,1,0.01,6", row)
    (found,) = bad.value.rows
    assert found.field == field
    assert found.line == 3 + row.count("\n")


def test_all_bad_rows_are_counted_and_the_first_hundred_listed() -> None:
    with pytest.raises(BadTariff) as bad:
        read(HEADER, *(f"A,x{number},0.01,6" for number in range(250)))
    assert (bad.value.total, len(bad.value.rows)) == (250, 100)
    assert "Line 2" in str(bad.value)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("",),
        (HEADER,),
        ("Description,Prefix,RateValue", "A,1,2"),
        (HEADER, '"never closed,1,0.01,6'),
        (HEADER, "x" * 200_000),
    ],
)
def test_what_is_no_tariff_is_refused_whole(lines: tuple[str, ...]) -> None:
    with pytest.raises(BadInput):
        read(*lines)


def test_the_digest_is_of_the_rows_and_of_nothing_else() -> None:
    """Fixed for ever: whoever loads a version checks it against this recipe."""
    rates = read(HEADER, "Manitoba,1204,.0300,30/6", "Café,33,0.02,6")
    assert rates == read("Prefix,Increment,RateValue,Description", "33,6,0.020,Café",
                         "1204,30/6,0.03,Manitoba")  # fmt: skip
    assert rows_digest(rates) == "8dd76c4415c6c4006abe3247e81619fb9c4727083b5af9dc6a9f4ae4946d2b97"


@given(st.text(max_size=200))
def test_any_text_is_a_tariff_or_refused(text: str) -> None:
    try:
        rates = read_rates(io.StringIO(f"{HEADER}\n{text}", newline=""))
    except (BadInput, BadTariff):
        return
    assert all(rate.initial_s >= 1 and rate.increment_s >= 1 for rate in rates)


@given(
    st.dictionaries(
        st.from_regex(r"[0-9]{1,15}", fullmatch=True),
        st.decimals(0, 1000, places=6, allow_nan=False),
        min_size=1,
        max_size=30,
    )
)
def test_no_rate_loses_a_decimal_on_the_way(rates: dict[str, object]) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(HEADER.split(","))
    writer.writerows(["x", prefix, f"{rate:f}", "6"] for prefix, rate in rates.items())
    out.seek(0)
    read_back = {rate.prefix: rate.rate for rate in read_rates(out)}
    assert sorted(read_back) == list(read_back)
    assert {p: Decimal(r) for p, r in read_back.items()} == rates


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
