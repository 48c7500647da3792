"""What all countries' number plans say of a complete number, by the data of `phonenumbers`. Pure.

The library's functions need some hundred microseconds for a number under +1, because 25 countries
share that code. So its data are made into one pattern for each country code, which says the same in
a few microseconds; and the answers are kept by the number's length and first digits: seven of a
number under +1 (country code, area code, exchange), nine of all others. Fewer give wrong answers,
because premium ranges and countries that share a code begin that deep. Tests compare both with the
library's functions, for the example numbers of every country.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, final

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, shortnumberinfo

DATA_VERSION: Final = phonenumbers.__version__
"""The version of the number data, which is in each explanation."""

MAX_E164: Final = 15
"""Digits of the longest complete number, country code included (ITU-T E.164)."""

MAX_KEPT: Final = 50_000
"""The most answers that are kept at a time, some 200 bytes each; twice as many while they age."""

NETWORK_LENGTHS: Final = frozenset(range(4, 13))
"""Digits after the code of a network instead of a country (881 satellites, 882, 883, 800, 979).

What its networks have assigned is not published in full, and such calls are dear: better priced by
a tariff's row than left waiting for the next data.
"""

_KINDS: Final = (
    ("premium_rate", True),
    ("toll_free", False),
    ("shared_cost", True),
    ("voip", False),
    ("personal_number", True),
    ("pager", False),
    ("uan", False),
    ("voicemail", False),
    ("fixed_line", False),
    ("mobile", False),
)
"""The kinds of numbers, in the order in which the library tries them; whether one is premium."""

_COUNTRY_CODES: Final = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))

_MARKS: Final = "0123456789ABCDEF"
"""A length as one character, so that a key of a kept answer is one text."""


@final
class NumberFacts:
    """What is known of a complete number.

    `country_code` is empty if no country has one that begins so. `possible`: the country has
    numbers of this length (a network, any), and under +1 the area code begins with 2 to 9.
    `valid`: the country has assigned such numbers. `region` is the country in ISO 3166 (`CA`,
    `PR`), empty for a number that is assigned to none. `premium`: premium rate, shared cost or
    personal numbers (+1 900, exchange 976, +44 9 and +44 70), which no bundle of national minutes
    covers.
    """

    __slots__ = ("country_code", "possible", "premium", "region", "valid")

    def __init__(
        self, country_code: str, possible: bool, valid: bool, region: str, premium: bool
    ) -> None:
        self.country_code = country_code
        self.possible = possible
        self.valid = valid
        self.region = region
        self.premium = premium


UNKNOWN: Final = NumberFacts("", False, False, "", False)
"""What is known of digits that no country code begins."""


@final
class FactsCache:
    """The answers for the numbers of late, at most twice `limit`; one for each process is enough.

    When `limit` new answers have come, those before them are dropped unless they are used again.
    """

    __slots__ = ("_limit", "_new", "_old")

    def __init__(self, limit: int = MAX_KEPT) -> None:
        self._limit = limit
        self._new: dict[str, NumberFacts] = {}
        self._old: dict[str, NumberFacts] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def get(self, digits: str) -> NumberFacts:
        """The facts of a complete number in digits, country code first."""
        length = len(digits)
        if not 0 < length <= MAX_E164:
            return UNKNOWN
        deep = 7 if digits[0] == "1" else 9
        key = digits[:deep] + _MARKS[length]
        found = self._new.get(key)
        if found is not None:
            return found
        return self._save(key, self._old.get(key) or _look_up(digits))

    def _save(self, key: str, found: NumberFacts) -> NumberFacts:
        if len(self._new) >= self._limit:
            self._old, self._new = self._new, {}
        self._new[key] = found
        return found


_CACHE: Final = FactsCache()


def facts_of(digits: str) -> NumberFacts:
    """The facts of a complete number in digits, country code first; from the process's cache."""
    return _CACHE.get(digits)


def _look_up(digits: str) -> NumberFacts:
    code = country_code_of(digits)
    return _country(code).facts(digits[len(code) :]) if code else UNKNOWN


@final
class _Country:
    """The numbers under one country code."""

    __slots__ = ("_code", "_impossible", "_known", "_lengths", "_pattern")

    def __init__(self, code: str) -> None:
        self._code = code
        self._impossible = NumberFacts(code, False, False, "", False)
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]
        only = regions[0] if len(regions) == 1 else ""
        known = [NumberFacts(code, True, False, only, False)]  # where no alternative matches
        found = [_metadata(code, region) for region in regions]
        is_network = regions[0] == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
        published = found[0].general_desc.possible_length
        self._lengths = NETWORK_LENGTHS if is_network else frozenset(published)
        alternatives = [
            _alternatives(code, metadata, region, known)
            for metadata, region in zip(found, regions, strict=True)
        ]
        self._pattern = re.compile("|".join(alternatives))
        self._known = tuple(known)

    def facts(self, subscriber: str) -> NumberFacts:
        """The facts of a number by its digits after the country code."""
        if len(subscriber) not in self._lengths or not subscriber.strip("0"):
            return self._impossible
        if self._code == "1" and subscriber[0] < "2":
            return self._impossible
        matched = self._pattern.fullmatch(subscriber)
        facts = self._known[(matched.lastindex or 0) if matched else 0]
        if self._code == "1" and subscriber[3:6] == "976" and not facts.premium:
            return NumberFacts("1", True, facts.valid, facts.region, True)
        return facts


def _metadata(code: str, region: str) -> Any:
    """The library's data of a region; of the code itself where it is no country's (001)."""
    found = PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    if found is None:
        raise LookupError(f"phonenumbers has no data of +{code} {region}")
    return found


def _alternatives(code: str, metadata: Any, region: str, known: list[NumberFacts]) -> str:
    """A pattern of a region's numbers; each of its groups has its facts in `known`, in order.

    A region with leading digits has all numbers that begin so, in use or not.
    """
    kinds = "|".join(_kinds(code, metadata, region, known))
    in_use = f"(?={_described(metadata.general_desc)})(?:{kinds})"
    if metadata.leading_digits is None:
        return in_use
    known.append(NumberFacts(code, True, False, region, False))
    return rf"(?={metadata.leading_digits})(?:{in_use}|(\d+))"


def _kinds(code: str, metadata: Any, region: str, known: list[NumberFacts]) -> Iterator[str]:
    for kind, premium in _KINDS:
        described = getattr(metadata, kind)
        if described is not None and described.national_number_pattern is not None:
            known.append(NumberFacts(code, True, True, region, premium))
            yield f"({_described(described)})"


def _described(described: Any) -> str:
    """A pattern of the numbers that have a possible length and match, up to their end."""
    lengths = "|".join(rf"\d{{{length}}}\Z" for length in described.possible_length)
    of_length = f"(?={lengths})" if lengths else ""
    return rf"{of_length}(?:{described.national_number_pattern})\Z"


@lru_cache(maxsize=512)
def _country(code: str) -> _Country:
    return _Country(code)


def country_code_of(digits: str) -> str:
    """The country code that a number begins with; empty if there is none."""
    for length in (1, 2, 3):
        if digits[:length] in _COUNTRY_CODES:
            return digits[:length]
    return ""


def own_regions(country_code: str) -> frozenset[str]:
    """The regions whose numbers are national under a country code.

    Under +1 the United States and Canada, under any other code the country that it is named for.
    """
    if country_code == "1":
        return frozenset(("US", "CA"))
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(country_code), ())
    return frozenset(regions[:1])


def trunk_prefix(country_code: str) -> str:
    """What is dialled before a national number in its own country, such as 0; may be empty."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(country_code), ())
    if not regions or country_code == "1":
        return ""
    return phonenumbers.ndd_prefix_for_region(regions[0], True) or ""


@lru_cache(maxsize=4096)
def is_short_code(digits: str, country_code: str) -> bool:
    """Whether these digits are a short code there: 411 and 911 under +1, 116123 under +44.

    Under +1 they have three digits: longer ones are for text messages. A country code (211, South
    Sudan) is none: a row of that name prices calls to the country.
    """
    if not 3 <= len(digits) <= (3 if country_code == "1" else 7):
        return False
    if digits in _COUNTRY_CODES:
        return False
    number = _number(country_code, digits)
    return number is not None and any(
        shortnumberinfo.is_valid_short_number_for_region(number, region)
        for region in own_regions(country_code)
    )


def _number(country_code: str, subscriber: str) -> PhoneNumber | None:
    """A number in the library's form; None without digits other than 0."""
    zeros = len(subscriber) - len(subscriber.lstrip("0"))
    if not subscriber or zeros == len(subscriber):
        return None
    return PhoneNumber(
        country_code=int(country_code),
        national_number=int(subscriber),
        italian_leading_zero=True if zeros else None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )
