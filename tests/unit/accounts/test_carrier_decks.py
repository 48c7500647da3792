"""Layouts of rate decks as carriers send them (tests/cases/decks): read, or refused in words."""

import io
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from accounts.tariffs.decks.layout import DeckLayout, layout_of
from accounts.tariffs.decks.reader import TariffReader
from accounts.tariffs.decks.rows import TariffRow
from accounts.tariffs.import_query import ImportQuery
from ringfence_cli.tariffs.tariff_import import import_tariff
from ringfence_contracts.errors import BadInput

CASES = Path(__file__).parents[2] / "cases" / "decks"


def layout_by(options: str) -> DeckLayout:
    """The layout that the options of `ringfence tariff import` declare."""
    context = click.Context(import_tariff)
    words = [*shlex.split(options), "retail", __file__]
    import_tariff.parse_args(context, words)
    given = {n: v for n, v in context.params.items() if n in ImportQuery.model_fields}
    given = {name: value for name, value in given.items() if value not in (None, ())}
    return ImportQuery(**given).layout_from(DeckLayout())


def read(file: str, layout: DeckLayout) -> TariffReader:
    """The reader of a case, at its end, with its rows."""
    return TariffReader(io.BytesIO((CASES / file).read_bytes()), layout)


def rows_of(reader: TariffReader) -> list[TariffRow]:
    found: list[TariffRow] = []
    while piece := reader.piece():
        found += piece
    return found


def short(row: TariffRow) -> tuple[str, str, str, int]:
    return row.prefix, row.rate, f"{row.initial_s}/{row.increment_s}", row.status


Short = tuple[str, str, str, int]


class Imported(NamedTuple):
    """A file, the options that its first import needs, and its rows."""

    file: str
    options: str
    rows: Sequence[Short]


IMPORTED = [
    Imported(
        "01-headerless.csv",
        '--header none --map "Description=#1" --map "Prefix=#2" --map "RateValue=#3" '
        "--increment 60/60",
        [("93", "0.19", "60/60", 1), ("9375", "0.161", "60/60", 1),
         ("9370", "0.127", "60/60", 1), ("9371", "0.127", "60/60", 1)],
    ),
    Imported(
        "02-three-columns.csv",
        '--map "Description=Destination" --map "Prefix=Dial Code" --map RateValue=Rate '
        "--increment 60",
        [("93", "0.201", "60/60", 1), ("9375", "0.1755", "60/60", 1), ("1", "0.007", "60/60", 1)],
    ),
    Imported(
        "03-default-increment.csv", "--increment 30/6",
        [("1", "0.011", "30/6", 1), ("44", "0.019", "30/6", 1)],
    ),
    Imported(
        "04-area-codes-without-1.csv", "--put-in-front 1",
        [("1202", "0.0047", "6/6", 1), ("1212", "0.0047", "6/6", 1), ("1226", "0.0052", "6/6", 1),
         ("1607", "0.0047", "6/6", 1), ("1876", "0.129", "60/60", 1), ("1888", "0.016", "6/6", 1),
         ("1900", "1.1", "60/60", 1)],
    ),
    Imported(
        "05-area-codes-and-plus.txt",
        "--header none --map Prefix=#1 --map RateValue=#2 --map Description=#3 --increment 6/6 "
        "--put-in-front 1",
        [("1604", "0.0052", "6/6", 1), ("1605", "0.0047", "6/6", 1), ("1607", "0.0047", "6/6", 1),
         ("607", "0.031", "6/6", 1), ("610", "1.21", "6/6", 1)],
    ),
    Imported(
        "06-intervals-and-origins.csv",
        '--map "Prefix=Destination Prefixes" --map RateValue=Rate --map "InitialIncrement=Interval '
        '1" --map "NextIncrement=Interval N" --map "Origination=Origination Prefixes" '
        '--map "ConnectionFee=Price Per Call" --ignore-columns "ISO,Country,Exact Match"',
        [("352", "0.033", "60/1", 1), ("33", "0.43", "1/1", 1), ("44870", "0.12", "60/60", 1)],
    ),
    Imported(
        "07-preamble.csv",
        '--map Description=Destination --map Prefix=Code --map RateValue=Rate '
        '--map "Increment=Billing Increment"',
        [("49", "0.015", "1/1", 1), ("4915", "0.04", "60/1", 1)],
    ),
    Imported(
        "08-dated-and-forbidden.csv",
        '--map "RateValue=Price N" --map "InitialIncrement=Interval 1" --map "NextIncrement='
        'Interval N" --map "EffectiveDate=Effective from" --ignore-columns "Country,Rate Id,Price '
        '1"',
        [("4477", "0.0135", "1/1", 1), ("4915", "0.0431", "60/1", 1), ("5511", "0.0099", "30/6", 1),
         ("25479", "0.001", "60/60", 2), ("23480", "0.021", "60/60", 2)],
    ),
    Imported(
        "09-split-code-decimal-comma.csv",
        '--map Description=Destination --map "Prefix=Area Code" --map "RateValue=New Rate" '
        '--map "Increment=Billing Increment" --decimal comma --dates dmy '
        '--ignore-columns "Current Rate"',
        [("346", "0.013", "60/60", 1), ("347", "0.013", "60/60", 1), ("349", "0.0065", "60/60", 1)],
    ),
    Imported(
        "11-headerless-two-increments.csv",
        "--header none --map Prefix=#1 --map Description=#2 --map RateValue=#3 "
        "--map InitialIncrement=#4 --map NextIncrement=#5",
        [("93", "0.16", "1/1", 1), ("1", "0.007", "6/6", 1), ("52", "0.011", "60/60", 1)],
    ),
    Imported(
        "14-surcharge-and-direction.csv",
        "--map RateValue=rate_cost --map InitialIncrement=rate_minimum "
        "--map NextIncrement=rate_increment --map ConnectionFee=rate_surcharge --ignore-columns "
        '"iso_country_code,rate_nocharge_time,caller_id_numbers"',
        [("380", "0.26", "60/60", 1), ("44", "0.021", "30/1", 1)],
    ),
    Imported(
        "15-currency-signs.csv", "",
        [("44", "0.019", "60/60", 1), ("33", "0.017", "60/60", 1), ("49", "0.018", "60/60", 1)],
    ),
    Imported(
        "17-lists-and-ranges.csv", "",
        [*((f"441{n}", "0.019", "60/60", 1) for n in range(2, 10)), ("447", "0.03", "60/60", 1),
         ("4420", "0.019", "60/60", 1), ("4430", "0.019", "60/60", 1)],
    ),
    Imported(
        "19-cp1252.csv", "--encoding cp1252",
        [("225", "0.36", "60/60", 1), ("262", "0.06", "60/60", 1)],
    ),
    Imported(
        "20-utf-16.csv", "", [("225", "0.36", "60/60", 1), ("262", "0.06", "60/60", 1)]
    ),
    Imported(
        "23-dates.csv", "", [("44", "0.019", "60/60", 1), ("44", "0.026", "60/60", 1)]
    ),
    Imported(
        "25-status-words.csv", "",
        [("44", "0.019", "60/60", 1), ("252", "0.95", "60/60", 2), ("254", "0.22", "60/60", 2)],
    ),
    Imported("30-thousands.csv", "", [("8816", "1250", "60/60", 1)]),
    Imported("31-pipe.csv", "", [("44", "0.019", "60/60", 1)]),
    Imported(
        "32-per-second.csv", '--map "RateValue=Rate per second" --rate-per second',
        [("44", "0.024", "1/1", 1)],
    ),
    Imported(
        "34-thousandths.csv", "--map Description=Destination --map RateValue=Price"
        " --map ConnectionFee=Setup --price-unit thousandth",
        [("336", "0.2", "60/1", 1), ("331", "0.0125", "60/60", 1), ("44", "1.9004", "60/60", 1)],
    ),
    Imported(
        "12b-billing-app.csv", "--header none --map Prefix=#1 --map Description=#2"
        " --map RateValue=#6 --increment 60/60 --price-unit thousandth"
        " --ignore-columns #3,#4,#5,#7",
        [("336", "0.2", "60/60", 1), ("331", "0.05", "60/60", 1)],
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", IMPORTED, ids=lambda case: case.file)
def test_a_carrier_file_is_read_and_the_next_one_needs_no_options(case: Imported) -> None:
    layout = layout_by(case.options)
    reader = read(case.file, layout)
    assert [short(row) for row in rows_of(reader)] == list(case.rows)
    assert reader.bad == []
    remembered = layout_of(dict(layout.mapping), layout.settings())
    assert remembered == layout
    again = ImportQuery().layout_from(remembered)
    assert rows_of(read(case.file, again)) == rows_of(read(case.file, layout))


class RefusedCase(NamedTuple):
    """A file, its options, and words of the refusal."""

    file: str
    options: str
    words: Sequence[str]


REFUSED = [
    RefusedCase("01-headerless.csv", "", ("--header none", '--map "Prefix=#2"', "--increment")),
    RefusedCase("02-three-columns.csv", "", ('--map "Prefix=Dial Code"', "--increment 60/60")),
    RefusedCase("12-billing-app.csv", "", ("--header none", '--map "Prefix=#1"', "#…")),
    RefusedCase(
        "08-dated-and-forbidden.csv", "",
        ('"NextIncrement=Interval N"', '"EffectiveDate=Effective from"', "Country,Rate Id,Price 1"),
    ),
    RefusedCase(
        "09-split-code-decimal-comma.csv",
        "",
        ('--map "Prefix=Area Code"', '--map "CountryCode=Country Code"'),
    ),
    RefusedCase(
        "14-surcharge-and-direction.csv", "",
        ('"InitialIncrement=rate_minimum"', "depends on: rate_nocharge_time"),
    ),
    RefusedCase("19-cp1252.csv", "", ("line 2, byte 2", "--encoding cp1252")),
    RefusedCase(
        "32-per-second.csv", '--map "RateValue=Rate per second"', ("--rate-per second",)
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.file} {case.options}")
def test_a_file_that_needs_options_is_refused_with_them(case: RefusedCase) -> None:
    with pytest.raises(BadInput) as refused:
        read(case.file, layout_by(case.options)).piece()
    for words in case.words:
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("file", "options", "line", "words"),
    [
        ("17b-blank-inside.csv", "", 2, "without blanks"),
        ("18-exit-codes.csv", "", 2, "no number begins with 0"),
        ("27-per-call.csv", "", 2, "A price for each call"),
        ("28-total-line.csv", "", 4, "rate per minute"),
        ("09-split-code-decimal-comma.csv",
         '--map Description=Destination --map "Prefix=Area Code" --map "RateValue=New Rate" '
         '--map "Increment=Billing Increment" --decimal comma --ignore-columns "Current Rate"',
         2, "--dates dmy"),
        ("05-area-codes-and-plus.txt",
         "--header none --map Prefix=#1 --map RateValue=#3 --map Description=#2 --increment 6/6",
         1, "rate per minute"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_named_with_what_to_do(
    file: str, options: str, line: int, words: str
) -> None:
    reader = read(file, layout_by(options))
    rows_of(reader)
    assert reader.bad[0].line == line
    assert words in reader.bad[0].expected


def test_lines_above_the_table_and_rows_left_out_are_counted() -> None:
    preamble = read("07-preamble.csv", layout_by(IMPORTED[6].options))
    rows_of(preamble)
    assert preamble.above == 3
    inbound = read("14-surcharge-and-direction.csv", layout_by(IMPORTED[10].options))
    rows_of(inbound)
    origins = read("06-intervals-and-origins.csv", layout_by(IMPORTED[5].options))
    rows_of(origins)
    assert (dict(inbound.left_out), dict(origins.left_out)) == ({"inbound": 1}, {"by origin": 2})


def test_amounts_of_a_row_for_each_call_are_read_and_a_blank_leaves_the_package_its_own() -> None:
    kazoo = rows_of(read("14-surcharge-and-direction.csv", layout_by(IMPORTED[10].options)))
    origins = rows_of(read("06-intervals-and-origins.csv", layout_by(IMPORTED[5].options)))
    assert [row.connection_fee for row in kazoo] == ["0.06", "0"]
    assert [row.connection_fee for row in origins] == [None, None, "0.06"]


def test_the_unit_of_prices_holds_for_fees_and_with_rates_per_second() -> None:
    options = "--map Description=Destination --map RateValue=Price --map ConnectionFee=Setup"
    in_thousandths = f"{options} --price-unit thousandth"
    rows = rows_of(read("34-thousandths.csv", layout_by(in_thousandths)))
    assert [row.connection_fee for row in rows] == ["0.05", "0", "0"]
    by_second = rows_of(
        read("34-thousandths.csv", layout_by(f"{options} --price-unit hundredth --rate-per second"))
    )
    assert by_second[1].rate == "7.5"
    reset = layout_by(in_thousandths).with_settings({"price_unit": "one"})
    assert rows_of(read("34-thousandths.csv", reset))[0].rate == "200"


def test_a_date_begins_at_midnight_of_the_zone_and_a_last_day_ends_at_the_next() -> None:
    rows = rows_of(read("33-end-dates.csv", layout_by("--zone America/Toronto")))
    assert [(row.effective_at, row.end_at) for row in rows] == [
        (None, None),
        (datetime(2027, 3, 1, 5, tzinfo=UTC), datetime(2027, 4, 1, 4, tzinfo=UTC)),
        (None, datetime(2027, 1, 1, 5, tzinfo=UTC)),
    ]


def test_settings_of_another_version_of_the_program_are_passed_over() -> None:
    assert layout_of({}, {"colour": "red", "zone": "UTC"}) == DeckLayout()


@pytest.mark.parametrize(
    ("options", "field"), [("--zone Mars", "zone"), ("--increment 0", "increment")]
)
def test_a_setting_that_cannot_be_is_refused(options: str, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        layout_by(options)
    assert refused.value.field == field


def test_a_setting_is_reset() -> None:
    layout = layout_by("--increment 6 --put-in-front 1 --delimiter tab --ignore-columns A,B")
    reset = {"increment": "", "put_in_front": "", "delimiter": "auto", "ignore_columns": ["none"]}
    assert ImportQuery(**reset).layout_from(layout) == DeckLayout()
