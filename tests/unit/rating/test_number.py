"""Numbers as PBXs write them, normalised for tariffs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.pricing.number import DialledNumber, NumberPlan
from ringfence.numbers.facts import MAX_E164, facts_of

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
        ("2265551234", "12265551234"),
        ("4372345678", "14372345678"),
        ("6472345678", "16472345678"),
        ("6042345678", "16042345678"),
        ("5142345678", "15142345678"),
        ("3122345678", "13122345678"),
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


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("9603331234", "9603331234"),
        ("6703312345", "6703312345"),
        ("376312345", "376312345"),
        ("447700900123", "447700900123"),
        ("4930123456", "4930123456"),
    ],
)
def test_a_plus_that_was_lost_is_found_again_where_only_that_is_possible(
    written: str, digits: str
) -> None:
    """FusionPBX's importer turns the + into a space."""
    found = CANADA.read(written)
    assert (found.kind, found.digits, found.international) == ("e164", digits, True)


@pytest.mark.parametrize(
    ("written", "in_words"),
    [
        ("4512345678", "+14512345678 is of no area in use, and +4512345678 of none"),
        ("9990001234", "+19990001234 is of no area in use, and no country code begins so"),
        ("3522344", "7 digits without a country code"),
        ("+12892999", "8 digits, but +1 has 11"),
        ("+1 61447442511", "12 digits, but +1 has 11"),
        ("+11165550101", "under +1, area codes begin with 2 to 9"),
        ("118500", "6 digits without a country code"),
        ("116123", "6 digits without a country code"),
        ("+2100000000", "no country code begins +210"),
        ("+44118500", "8 digits, but +44 has not as many"),
        ("+4407700900123", "13 digits, but +44 has not as many"),
        ("00442079460000", "no country code starts with 0: set strip_prefix and prepend"),
        ("+011442079460000", "no country code starts with 0"),
        ("+#12", "no digits at +"),
    ],
)
def test_an_impossible_number_says_why(written: str, in_words: str) -> None:
    number = CANADA.read(written)
    assert (number.kind, number.why) == ("invalid", in_words)


@pytest.mark.parametrize(
    "written",
    [
        "4165551234#1", "4165551234*12", "416-555-1234,,1", "4165551234;ext=12", "4165551234p12",
        "4165551234 w1", "+14165551234*12", "4165551234#;abc", "1 (416) 555/1234,abc",
        "01114165551234#9", "4165551234,",
    ],
)  # fmt: skip
def test_what_was_dialled_later_is_cut(written: str) -> None:
    assert e164(CANADA, written) == "14165551234"


@pytest.mark.parametrize("written", ["4165551234 ext 12", "4165551234x12", "4165551234+1", "416_5"])
def test_other_signs_are_not_dropped(written: str) -> None:
    assert CANADA.read(written).kind == "invalid"


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("+44 (0)7700 900123", "447700900123"),
        ("011 44 (0)20 7946 0000", "442079460000"),
        ("44(0)2079460000", "442079460000"),
        ("+39 (0)6 4520 1234", "390645201234"),
        ("+41 (0) 44 668 18 00", "41446681800"),
    ],
)
def test_a_zero_in_brackets_goes_unless_its_country_dials_it(written: str, digits: str) -> None:
    assert e164(CANADA, written) == digits


@pytest.mark.parametrize("written", ["118500", "116123", "1471xx"])
def test_british_short_codes_are_never_north_american(written: str) -> None:
    assert LONDON.read(written).kind == "invalid"


def test_bare_digits_that_could_be_at_home_or_abroad_wait() -> None:
    madrid = NumberPlan(country_code="34", exit_code="00", nanpa_10_digit=False)
    assert madrid.read("912345678").kind == "invalid"
    assert e164(madrid, "34912345678") == "34912345678"
    assert e164(madrid, "442079460000") == "442079460000"


@pytest.mark.parametrize(
    ("written", "international", "premium"),
    [
        ("16135550123", False, False),
        ("12125550101", False, False),
        ("18005551234", False, False),
        ("19005551234", False, True),
        ("14169765555", False, True),
        ("16715551234", True, False),
        ("16845551234", True, False),
        ("17875551234", True, False),
        ("13405551234", True, False),
        ("16705551234", True, False),
        ("18765550101", True, False),
        ("01144207946000", True, False),
    ],
)
def test_what_is_national(written: str, international: bool, premium: bool) -> None:
    number = CANADA.read(written)
    assert (number.international, number.premium) == (international, premium)
    assert number.is_national is not (international or premium)


def test_what_is_national_in_britain() -> None:
    assert LONDON.read("02079460000").is_national
    assert LONDON.read("07700900123").is_national
    assert not LONDON.read("07012345678").is_national  # a personal number
    assert not LONDON.read("09098790000").is_national
    assert not LONDON.read("01534123456").is_national  # Jersey
    assert not LONDON.read("0014165550101").is_national


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


@settings(deadline=None)  # the first number of a country reads its plan
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


@settings(deadline=None)  # the first number of a country reads its plan
@given(PLANS, st.text("123456789", min_size=8, max_size=15))
def test_a_number_with_plus_is_not_changed(plan: NumberPlan, digits: str) -> None:
    number = plan.read("+" + digits)
    assert number.kind == ("e164" if facts_of(digits).possible else "invalid")
    assert number.digits == digits


@settings(deadline=None)  # the first number of a country reads its plan
@given(PLANS, st.text("0123456789", min_size=6, max_size=15))
def test_a_reading_is_a_possible_number(plan: NumberPlan, written: str) -> None:
    number = plan.read(written)
    if number.kind == "e164" and number.least_prefix == 1:
        assert facts_of(number.digits).possible


@settings(deadline=None)  # the first number of a country reads its plan
@given(PLANS, WRITTEN, st.sampled_from(["#1", "*12", ",,1", ";x", "p1", "W2"]))
def test_what_follows_a_number_never_changes_it(plan: NumberPlan, written: str, tail: str) -> None:
    number = plan.read(written)
    if number.kind == "e164" and written[-1:].isdigit():
        assert plan.read(written + tail).digits == number.digits
