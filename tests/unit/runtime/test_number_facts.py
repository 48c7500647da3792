"""What number plans say of a number, and that kept answers are the library's."""

import random
from collections.abc import Iterator

import phonenumbers
import pytest
from phonenumbers import PhoneNumberType

from ringfence.numbers.facts import (
    NETWORK_LENGTHS,
    UNKNOWN,
    FactsCache,
    NumberFacts,
    country_code_of,
    facts_of,
    is_short_code,
    own_regions,
    trunk_prefix,
)

PREMIUM = {
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER,
}
TYPES = tuple(kind for kind in PhoneNumberType.values() if kind != PhoneNumberType.UNKNOWN)


def examples() -> Iterator[str]:
    """A number of every kind that a region or a code without one has."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in TYPES:
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                yield phonenumbers.format_number(
                    number, phonenumbers.PhoneNumberFormat.E164
                ).removeprefix("+")
    for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        number = phonenumbers.example_number_for_non_geo_entity(code)
        assert number is not None
        yield phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


CODES = sorted(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
SHARED = [c for c in CODES if len(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(c)]) > 1]
EXAMPLES = tuple(dict.fromkeys(n for n in examples() if not n.startswith("1310") or len(n) == 11))
"""Without Canada's 310-xxxx, which is complete without the 1."""


def by_library(digits: str) -> NumberFacts:
    """The facts of a number by the library's public functions."""
    code = country_code_of(digits)
    subscriber = digits[len(code) :]
    if not code or not subscriber.strip("0"):
        return NumberFacts(code, False, False, "", False)
    zeros = len(subscriber) - len(subscriber.lstrip("0"))
    number = phonenumbers.PhoneNumber(
        country_code=int(code),
        national_number=int(subscriber),
        italian_leading_zero=True if zeros else None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )
    reason = phonenumbers.is_possible_number_with_reason(number)
    possible = reason == phonenumbers.ValidationResult.IS_POSSIBLE
    if int(code) in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS:
        possible = len(subscriber) in NETWORK_LENGTHS
    if code == "1" and possible:
        possible = subscriber[0] >= "2"
    if not possible:
        return NumberFacts(code, False, False, "", False)
    kind = phonenumbers.number_type(number)
    premium = kind in PREMIUM or (code == "1" and subscriber[3:6] == "976")
    region = phonenumbers.region_code_for_number(number) or ""
    return NumberFacts(code, True, kind != PhoneNumberType.UNKNOWN, region, premium)


def as_tuple(facts: NumberFacts) -> tuple[str, bool, bool, str, bool]:
    return facts.country_code, facts.possible, facts.valid, facts.region, facts.premium


def test_every_regions_examples_are_numbers_in_use() -> None:
    assert len(EXAMPLES) > 900
    for digits in EXAMPLES:
        facts = facts_of(digits)
        assert facts.possible, digits
        assert facts.valid, digits
        assert facts.country_code == country_code_of(digits)


def test_a_kept_answer_is_the_librarys_for_all_numbers_that_begin_so() -> None:
    """Examples with their last digits changed get the answer that was kept for the example."""
    chance = random.Random(16)
    cache = FactsCache()
    for digits in EXAMPLES:
        cache.get(digits)
        deep = 7 if digits[0] == "1" else 9
        for _ in range(3):
            tail = "".join(chance.choice("0123456789") for _ in digits[deep:])
            other = digits[:deep] + tail
            assert as_tuple(cache.get(other)) == as_tuple(by_library(other)), (digits, other)


def test_kept_answers_are_the_librarys_for_random_numbers() -> None:
    chance = random.Random(1616)
    cache = FactsCache()
    for _ in range(3000):
        code = chance.choice(CODES) if chance.random() < 0.6 else chance.choice(SHARED)
        length = chance.randint(6, 12)
        first = code + "".join(chance.choice("0123456789") for _ in range(length))
        deep = 7 if code == "1" else 9
        other = first[:deep] + "".join(chance.choice("0123456789") for _ in first[deep:])
        cache.get(first)
        assert as_tuple(cache.get(other)) == as_tuple(by_library(other)), (first, other)


def test_the_cache_is_bounded_and_keeps_what_is_used() -> None:
    cache = FactsCache(limit=10)
    for exchange in range(200, 300):
        assert cache.get("14165551234").region == "CA"
        cache.get(f"1416{exchange}0000")
        assert len(cache) <= 20


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("14165550101", ("1", True, True, "CA", False)),
        ("12125550101", ("1", True, True, "US", False)),
        ("16715551234", ("1", True, True, "GU", False)),
        ("17875551234", ("1", True, True, "PR", False)),
        ("18765550101", ("1", True, True, "JM", False)),
        ("19005551234", ("1", True, True, "US", True)),
        ("14169765555", ("1", True, True, "CA", True)),
        ("18005551234", ("1", True, True, "US", False)),
        ("19603331234", ("1", True, False, "", False)),
        ("11165550101", ("1", False, False, "", False)),
        ("14161550101", ("1", True, False, "", False)),
        ("12892999", ("1", False, False, "", False)),
        ("161447442511", ("1", False, False, "", False)),
        ("9603331234", ("960", True, True, "MV", False)),
        ("390669812345", ("39", True, True, "VA", False)),
        ("447012345678", ("44", True, True, "GB", True)),
        ("449098790000", ("44", True, True, "GB", True)),
        ("441534123456", ("44", True, True, "JE", False)),
        ("44118500", ("44", False, False, "", False)),
    ],
)
def test_facts(digits: str, expected: tuple[str, bool, bool, str, bool]) -> None:
    assert as_tuple(facts_of(digits)) == expected


@pytest.mark.parametrize("digits", ["", "0", "0044", "999", "210123456", "1" * 16, "44" + "0" * 8])
def test_digits_that_are_no_number(digits: str) -> None:
    facts = facts_of(digits)
    assert not facts.possible
    assert not facts.valid
    if digits[:1] in ("", "0"):
        assert facts is UNKNOWN


@pytest.mark.parametrize(
    ("digits", "country_code", "expected"),
    [
        ("411", "1", True),
        ("911", "1", True),
        ("112", "1", True),
        ("211", "1", False),  # South Sudan
        ("221", "1", False),  # Senegal
        ("2112", "1", False),
        ("8300", "1", False),
        ("116123", "44", True),
        ("118500", "44", True),
        ("999", "44", True),
        ("2112", "44", False),
        ("41165551234", "44", False),
        ("", "44", False),
    ],
)
def test_short_codes(digits: str, country_code: str, expected: bool) -> None:
    assert is_short_code(digits, country_code) is expected


def test_the_regions_of_a_country_are_its_own() -> None:
    assert own_regions("1") == {"US", "CA"}
    assert own_regions("44") == {"GB"}
    assert own_regions("7") == {"RU"}
    assert own_regions("999") == frozenset()


@pytest.mark.parametrize(
    ("country_code", "prefix"), [("44", "0"), ("7", "8"), ("36", "06"), ("45", ""), ("1", "")]
)
def test_trunk_prefixes(country_code: str, prefix: str) -> None:
    assert trunk_prefix(country_code) == prefix
