"""Workbooks are read by a process of their own, within limits."""

import io
import random
from datetime import date, datetime

import pytest

from accounts.tariffs.workbooks import opening
from accounts.tariffs.workbooks.child import cell_text
from accounts.tariffs.workbooks.opening import opened
from ringfence_contracts.errors import BadInput
from tests.support.workbooks import Cell, rows_xml, workbook

DECK: list[list[Cell]] = [
    ["Carrier X"],
    [],
    ["Description", "Prefix", "RateValue", "Increment"],
    ["United Kingdom", 44, 0.018, 60],
    ["Canada, Ontario", 1416, 1e-05, "6/6"],
]
LINES = (
    b"Carrier X,,,\n,,,\nDescription,Prefix,RateValue,Increment\nUnited Kingdom,44,0.018,60\n"
    b'"Canada, Ontario",1416,0.00001,6/6\n'
)


async def converted(raw: bytes, sheet: str | None = None, *, comma: bool = False) -> bytes:
    with await opened(io.BytesIO(raw), sheet, decimal_comma=comma) as lines:
        return lines.read()


async def refused(raw: bytes, sheet: str | None = None) -> BadInput:
    with pytest.raises(BadInput) as error:
        await converted(raw, sheet)
    return error.value


async def test_a_workbook_becomes_lines_with_the_numbers_as_a_person_types_them() -> None:
    assert await converted(workbook({"Rates": rows_xml(DECK)})) == LINES


async def test_a_declared_decimal_comma_holds_for_numbers_too() -> None:
    lines = await converted(workbook({"Rates": rows_xml(DECK)}), comma=True)
    assert b'United Kingdom,44,"0,018",60' in lines


async def test_another_file_is_left_as_it_is() -> None:
    assert await converted(b"Description,Prefix\n") == b"Description,Prefix\n"


async def test_one_sheet_with_rows_needs_no_name_and_one_of_several_does() -> None:
    one = workbook({"Notes": "", "Rates": rows_xml(DECK)})
    assert await converted(one) == LINES
    several = workbook({"Old": rows_xml([["a"]]), "Rates": rows_xml(DECK)})
    error = await refused(several)
    assert (error.field, error.value) == ("sheet", "2 sheets with rows")
    assert "--sheet" in error.expected
    assert "Old, Rates" in error.expected
    assert await converted(several, "Rates") == LINES
    assert "one of the sheets Old, Rates" in (await refused(several, "New")).expected


CORNERS = '<row r="1"><c r="A1"><v>1</v></c></row><row r="{0}"><c r="{1}{0}"><v>2</v></c></row>'


@pytest.mark.parametrize(
    "rows",
    [CORNERS.format(1_048_576, "XFD"), CORNERS.format(1_048_576, "ZZ"), CORNERS.format(2, "XFD")],
    ids=["whole sheet", "many columns", "wide"],
)
async def test_two_cells_far_apart_do_not_exhaust_the_memory(rows: str) -> None:
    error = await refused(workbook({"S": rows}))
    assert error.field == "tariff"


async def test_a_bomb_is_refused_by_the_size_that_it_has_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bomb = workbook({"S": rows_xml([["a"]]) + " " * 30_000_000})
    assert len(bomb) < 100_000
    assert await converted(bomb)
    monkeypatch.setattr(opening, "MAX_UNPACKED", 20_000_000)
    assert "save the sheet as CSV" in (await refused(bomb)).expected


@pytest.mark.parametrize(
    "raw", [b"PK\x03\x04", b"PK\x03\x04" + b"x" * 500, b"\xd0\xcf\x11\xe0" + b"\0" * 2000]
)
async def test_a_damaged_workbook_is_refused_in_words(raw: bytes) -> None:
    assert "workbook" in (await refused(raw)).expected


async def test_a_workbook_damaged_anywhere_is_read_or_refused() -> None:
    """Twenty places, chosen by a fixed seed: each reading is a process."""
    good = workbook({"Rates": rows_xml(DECK)})
    chosen = random.Random(5)
    for _ in range(20):
        raw = bytearray(good)
        for _ in range(3):
            raw[chosen.randrange(4, len(raw))] = chosen.randrange(256)
        try:
            await converted(bytes(raw))
        except BadInput as error:
            assert error.expected  # noqa: PT017 - either way is right


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (1204.0, "1204"),
        (0.1 + 0.2, "0.3"),
        (1e-13, "0"),
        (1e20, "100000000000000000000"),
        (True, "1"),
        ("two\nlines", "two lines"),
        (date(2027, 1, 31), "2027-01-31"),
        (datetime(2027, 1, 31), "2027-01-31"),
        (datetime(2027, 1, 31, 6, 30), "2027-01-31 06:30:00"),
    ],
)
def test_cells_as_text(cell: object, text: str) -> None:
    assert cell_text(cell, ".") == text
