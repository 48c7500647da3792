"""Numbers as PBXs write them, normalised for tariffs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.pricing.number import MAX_E164, DialledNumber, NumberPlan

CANADA = NumberPlan()
LONDON = NumberPlan(
    country_code="44", exit_code="00", strip_prefix="0", prepend="44", nanpa_10_digit=False
)
NINE = NumberPlan(strip_prefix="9")


def e164(plan: NumberPlan, written: str) -> str:
    number = plan.read(written)
    assert number.kind == "e164", number
    return number.digits


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("+14165550101", "14165550101"),
        ("14165550101", "14165550101"),
        ("4165550101", "14165550101"),
        ("5551234567", "15551234567"),
        (" +1 (416) 555-0101 ", "14165550101"),
        ("416.555.0101", "14165550101"),
        ("01144207946000", "44207946000"),
        ("011 44 20 7946 0000", "442079460000"),
        ("442079460000", "442079460000"),
        ("01114165550101", "14165550101"),
        ("3101234", "3101234"),
        ("14165550101#", "14165550101"),
    ],
)
def test_a_canadian_pbx(written: str, digits: str) -> None:
    assert e164(CANADA, written) == digits


def test_ten_canadian_digits_are_not_burkina_faso() -> None:
    assert e164(CANADA, "2265551234") == "12265551234"
    without_option = NumberPlan(nanpa_10_digit=False)
    assert without_option.read("2265551234").kind == "invalid"
    assert e164(without_option, "+22670123456") == "22670123456"


@pytest.mark.parametrize("written", ["2211", "221", "22112", "+2211", "911", "8300"])
def test_three_to_five_digits_are_an_extension(written: str) -> None:
    assert CANADA.read(written).kind == "extension"
    assert NINE.read(written).kind == "extension"


@pytest.mark.parametrize("written", ["*97", "*9712", "#31", " *72 ", "*"])
def test_codes_begin_with_a_star_or_a_hash(written: str) -> None:
    code = CANADA.read(written)
    said = (code.kind, code.digits, code.international, code.dialled, code.why)
    assert said == ("feature-code", written.strip(), False, written.strip(), "")


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "+",
        "-",
        "0",
        "12",
        "sip:14165550101@example.com",
        "14165550101@10.0.0.1",
        "anonymous",
        "1-800-FLOWERS",
        "١٤١٦٥٥٥٠١٠١",
        "1416555٠١٠١",
        "¹²³⁴",
        "一四一六",
        "1" * 16,
        "1" * 10_000,
        "+" + "9" * 10_000,
        "a" * 10_000,
        "5551234",
        "0044207946000",
        "+0044207946000",
        "0112211",
        "0416555010",
        "1" + "-" * 100 + "4165550101",
    ],
)
def test_an_invalid_number_has_a_reason(written: str) -> None:
    number = CANADA.read(written)
    assert number.kind == "invalid"
    assert number.why
    assert len(number.digits) <= 64


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("02079460000", "442079460000"),
        ("0014165550101", "14165550101"),
        ("+442079460000", "442079460000"),
        ("442079460000", "442079460000"),
        ("00442079460000", "442079460000"),
    ],
)
def test_a_british_pbx_with_its_trunk_prefix_set(written: str, digits: str) -> None:
    assert e164(LONDON, written) == digits


def test_a_trunk_prefix_that_is_not_set_is_not_guessed() -> None:
    plain = NumberPlan(country_code="44", exit_code="00", nanpa_10_digit=False)
    assert plain.read("02079460000").kind == "invalid"
    assert e164(plain, "0014165550101") == "14165550101"


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("914165550101", "14165550101"),
        ("94165550101", "14165550101"),
        ("9011442079460000", "442079460000"),
        ("14165550101", "14165550101"),
        ("+919876543210", "919876543210"),
    ],
)
def test_a_prefix_for_an_outside_line_is_stripped_if_present(written: str, digits: str) -> None:
    assert e164(NINE, written) == digits


def test_a_code_before_a_number_can_be_stripped() -> None:
    plan = NumberPlan(strip_prefix="*67")
    assert e164(plan, "*6714165550101") == "14165550101"
    assert plan.read("*67").kind == "feature-code"


def test_the_exit_code_itself_can_be_stripped() -> None:
    misused = NumberPlan(strip_prefix="011", prepend="1")
    assert e164(misused, "0114165550101") == "14165550101"


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("5551234", "15195551234"),
        ("14165550101", "14165550101"),
        ("011442079460000", "442079460000"),
        ("+442079460000", "442079460000"),
    ],
)
def test_prepend_completes_incomplete_numbers(written: str, digits: str) -> None:
    assert e164(NumberPlan(prepend="1519"), written) == digits


def test_prepend_replaces_strip_prefix() -> None:
    plan = NumberPlan(strip_prefix="8", prepend="1519")
    assert e164(plan, "85551234") == "15195551234"
    assert e164(plan, "4165550101") == "14165550101"
    assert e164(plan, "8011442079460000") == "442079460000"
    assert plan.read("2112").kind == "extension"


@pytest.mark.parametrize(
    ("written", "abroad"),
    [
        ("14165550101", False),
        ("4165550101", False),
        ("+12125550101", False),
        ("18765550101", True),
        ("8095550101", True),
        ("01144207946000", True),
    ],
)
def test_other_countries_under_country_code_1_are_abroad(written: str, abroad: bool) -> None:
    assert CANADA.read(written).international is abroad


PLANS = st.builds(
    NumberPlan,
    country_code=st.sampled_from(["1", "44", "226"]),
    exit_code=st.sampled_from(["011", "00"]),
    strip_prefix=st.sampled_from(["", "9", "0", "*67", "011"]),
    prepend=st.sampled_from(["", "1", "44"]),
    nanpa_10_digit=st.booleans(),
)
WRITTEN = st.one_of(st.text(max_size=80), st.text("0123456789+*# -", max_size=20))


@given(PLANS, WRITTEN)
def test_any_text_becomes_one_of_four_kinds(plan: NumberPlan, written: str) -> None:
    number = plan.read(written)
    assert isinstance(number, DialledNumber)
    if number.kind == "e164":
        assert number.digits.isascii()
        assert number.digits.isdigit()
        assert number.digits[0] != "0"
        assert 6 <= len(number.digits) <= MAX_E164
    elif number.kind == "extension":
        assert 3 <= len(number.digits) <= 5
    elif number.kind == "feature-code":
        assert number.digits[0] in "*#"
    assert bool(number.why) == (number.kind == "invalid")


@given(PLANS, st.text("123456789", min_size=8, max_size=15))
def test_a_number_with_plus_is_not_changed(plan: NumberPlan, digits: str) -> None:
    assert e164(plan, "+" + digits) == digits
