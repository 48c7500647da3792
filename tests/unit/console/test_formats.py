"""Amounts, instants and durations as pages show them, and texts in files for spreadsheets."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.web.formats import Formats, duration, talk_time
from console.web.spreadsheet import cell

CANADA = Formats("en_CA", "America/Toronto")


@pytest.mark.parametrize(
    ("micro", "currency", "shown"),
    [
        (0, "CAD", "$0.00"),
        (8_000_000, "CAD", "$8.00"),
        (-18_240, "CAD", "-$0.01824"),
        (1_234_567_890_000, "CAD", "$1,234,567.89"),
        (1, "CAD", "$0.000001"),
        (5_000_000, "JPY", "JP¥5"),
        (1_500_000, "", "1.50"),
        (None, "CAD", "–"),
    ],
)
def test_money_is_shown_to_the_last_micro_unit(
    micro: int | None, currency: str, shown: str
) -> None:
    assert CANADA.money(micro, currency) == shown


@given(st.integers(-(10**15), 10**15))
def test_no_amount_is_rounded(micro: int) -> None:
    shown = CANADA.money(micro, "CAD").replace("$", "").replace(",", "")
    assert Decimal(shown) * 1_000_000 == micro


def test_an_instant_is_shown_in_the_operator_s_zone_with_its_year() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert CANADA.instant(at) == "2026-01-01 22:04:05"
    assert CANADA.instant(at.isoformat()) == "2026-01-01 22:04:05"
    assert CANADA.instant(None) == "–"


def test_an_instant_soon_is_a_weekday_and_a_later_one_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(days=2)
    assert CANADA.soon(soon) == CANADA.instant(soon, "EEE HH:mm")
    assert CANADA.soon(datetime(2031, 5, 6, 12, tzinfo=UTC)) == "6 May 2031"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (119, "1 min"), (59, "59 s"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_a_duration_is_in_one_unit(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown


def test_talk_time() -> None:
    assert (talk_time(65), talk_time(3725)) == ("1:05", "1:02:05")


@pytest.mark.parametrize("text", ["=1+1", "+49", "-2", "@SUM(A1)", "\tx", "\r=1"])
def test_no_text_is_a_formula_in_a_spreadsheet(text: str) -> None:
    assert cell(text) == f"'{text}"
    assert cell("outbound 49") == "outbound 49"
