"""Codes, prices and dates as carriers write them in cells; the prices that an import shows."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.tariffs.decks.cells import BadDate, read_instant, read_price
from accounts.tariffs.decks.codes import BadCode, read_codes
from accounts.tariffs.decks.doubts import PrefixGroup, doubts_about_prefixes, has_country_code
from accounts.tariffs.decks.sample import price_of_call
from rating.pricing.price import CallFees, PriceTerms
from ringfence_contracts.events.tariff import RowFees

TORONTO = ZoneInfo("America/Toronto")


@pytest.mark.parametrize(
    ("cell", "country", "front", "codes"),
    [
        ("44", "", None, ["44"]),
        ("+44", "", None, ["44"]),
        ("447*", "", None, ["447"]),
        ("447xx", "", None, ["447"]),
        ("6, 7", "34", None, ["346", "347"]),
        ("", "34", None, ["34"]),
        ("6", "+34", "1", ["346"]),
        ("44;4420/4430", "", None, ["44", "4420", "4430"]),
        ("4412-4414", "", None, ["4412", "4413", "4414"]),
        ("07-09", "1", None, ["107", "108", "109"]),
        ("44120000-44129999", "", None, ["4412"]),
        ("44120000-44131000", "", None, ["4412", "44130", "44131000"]),
        ("416", "", "1", ["1416"]),
        ("1416", "", "1", ["1416"]),
        ("+607", "", "1", ["607"]),
        ("204", "", "44", ["44204"]),
    ],
)
def test_codes_of_a_cell(cell: str, country: str, front: str | None, codes: list[str]) -> None:
    assert read_codes(cell, country, front) == codes


@pytest.mark.parametrize(
    ("cell", "country", "front"),
    [("", "", None), ("044", "", None), ("1 204", "", None), ("44-43", "", None),
     ("4-43", "", None),
     ("44", "x", None), ("44", "", "1"), ("1" * 16, "", None), ("123456", "1234567890", None),
     ("1-99999999999999", "", None), ("44,", "", None),
     ("\u0661", "", None), ("1000-1999," * 11, "", None)],
)  # fmt: skip
def test_a_cell_without_codes_is_refused(cell: str, country: str, front: str | None) -> None:
    with pytest.raises(BadCode):
        read_codes(cell, country, front)


@given(st.integers(10_000, 99_999), st.integers(0, 20_000))
def test_a_range_matches_exactly_its_numbers(low: int, more: int) -> None:
    high = min(low + more, 99_999)
    codes = read_codes(f"{low}-{high}")
    assert len(set(codes)) == len(codes)
    covered = sum(10 ** (5 - len(code)) for code in codes)
    assert covered == high - low + 1
    assert all(low <= int(code.ljust(5, "0")) <= high for code in codes)
    assert all(low <= int(code.ljust(5, "9")) <= high for code in codes)


@pytest.mark.parametrize(
    ("text", "comma", "price"),
    [
        ("$0.018", False, "0.018"),
        ("USD 0.0160", False, "0.016"),
        ("0,018 \u20ac", True, "0.018"),
        ("1,500.00", False, "1500"),
        ("1.500,25", True, "1500.25"),
        ("1 500", False, "1500"),
        ("1\u00a0500,5", True, "1500.5"),
        ("1,500", False, None),
        ("1.500", True, None),
        ("1,50.0", False, None),
        ("$", False, None),
        ("$ $1", False, None),
        ("-1", False, None),
        ("1000001", False, None),
    ],
)
def test_prices_with_signs_and_separators(text: str, comma: bool, price: str | None) -> None:
    assert read_price(text, decimal_comma=comma) == price


def test_a_price_per_second_is_exact_per_minute() -> None:
    assert read_price("0.0003", decimal_comma=False, per_second=True) == "0.018"
    assert read_price("0.000000000001", decimal_comma=False, per_second=True) == "0.00000000006"


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("2027-01-31", None, datetime(2027, 1, 31, 5, tzinfo=UTC)),
        ("20270131", None, datetime(2027, 1, 31, 5, tzinfo=UTC)),
        ("2027-01-31 06:30:00", None, datetime(2027, 1, 31, 11, 30, tzinfo=UTC)),
        ("31-Jan-2027", None, datetime(2027, 1, 31, 5, tzinfo=UTC)),
        ("January 31, 2027", None, datetime(2027, 1, 31, 5, tzinfo=UTC)),
        ("03/04/2027", "dmy", datetime(2027, 4, 3, 4, tzinfo=UTC)),
        ("03/04/2027", "mdy", datetime(2027, 3, 4, 5, tzinfo=UTC)),
        ("ASAP", None, None),
        ("", None, None),
    ],
)
def test_dates(text: str, order: str | None, expected: datetime | None) -> None:
    assert read_instant(text, order, TORONTO) == expected


@pytest.mark.parametrize(
    "text",
    ["03/04/2027", "31-Foo-2027", "2027-02-30", "soon", "1-1-27", "9999-01-01",
     "2027-01-01 25:00", "2027-01-01 06:61"],
)  # fmt: skip
def test_a_date_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(BadDate):
        read_instant(text, None, TORONTO)


def test_an_end_with_a_time_is_that_instant_and_a_day_is_its_whole_day() -> None:
    zone = ZoneInfo("UTC")
    assert read_instant("2027-03-31", None, zone, end=True) == datetime(2027, 4, 1, tzinfo=UTC)
    at_noon = read_instant("2027-03-31 12:00", None, zone, end=True)
    assert at_noon == datetime(2027, 3, 31, 12, tzinfo=UTC)


AMOUNT = st.none() | st.decimals(0, 10, places=4, allow_nan=False).map("{:f}".format)


@given(
    st.decimals(0, 1000, places=6, allow_nan=False),
    st.tuples(st.integers(1, 3600), st.integers(1, 3600)),
    st.integers(1, 100_000),
    st.builds(RowFees, AMOUNT, AMOUNT, AMOUNT),
)
def test_the_price_that_an_import_shows_is_the_one_that_rating_charges(
    rate: Decimal, increment: tuple[int, int], talk_s: int, row: RowFees
) -> None:
    fees = CallFees(row.connection_fee or "0", row.minimum_cost or "0", row.maximum_cost)
    charged = PriceTerms.outbound(f"{rate:f}", *increment, fees=fees).charge(talk_s)
    shown = price_of_call(f"{rate:f}", *increment, talk_s, row)
    assert Decimal(shown).scaleb(6) == charged.cost_micro


def group(head: str, american: int = 0, rows: int = 1) -> PrefixGroup:
    return PrefixGroup(head, len(head), rows, american, head)


def test_area_codes_without_their_1_are_doubted_with_counts_and_an_offer() -> None:
    groups = [group("202", 1), group("226", 1), group("876")]
    (doubt,) = doubts_about_prefixes(groups, in_front=False)
    assert "3 of 3 prefixes" in doubt
    assert "--put-in-front 1" in doubt
    assert doubts_about_prefixes(groups, in_front=True) == []


def test_country_codes_are_not_doubted() -> None:
    world = [group("1"), group("44"), group("225"), group("262"), group("212"), group("911")]
    assert doubts_about_prefixes(world, in_front=False) == []


def test_codes_of_no_country_are_doubted() -> None:
    (doubt,) = doubts_about_prefixes(
        [group("44"), group("33"), PrefixGroup("210", 4, 7, 0, "2101")], in_front=False
    )
    assert "7 of 9 prefixes begin with no country code (such as 2101)" in doubt


@pytest.mark.parametrize(
    ("prefix", "known"),
    [("1", True), ("7", True), ("44", True), ("2", True), ("383", True), ("8816", True),
     ("2101", False), ("9991", False), ("2801", False)],
)  # fmt: skip
def test_country_codes(prefix: str, known: bool) -> None:
    assert has_country_code(prefix) is known
