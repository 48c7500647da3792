"""Which calls are hidden, and which are shown but not billed: a package's two filter lists.

The patterns are defined in domain/billing, section 6. `[word]` matches a part of the description:

| direction | description |
|---|---|
| inbound | Inbound DID |
| outbound | Outbound DID; to 800, 833, 844, 855, 866, 877 or 888 also Toll Free |
| local | Local DID |
| none | Local DID to an extension, else empty |

An inbound call to a toll-free DID is not `Toll Free`: it is charged to the owner of the DID.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from rating.pricing.number import DialledNumber
from ringfence_contracts.errors import BadInput

FilterEffect = Literal["hide", "not-billed"]

_DESCRIBED = {
    "inbound": "inbound did",
    "outbound": "outbound did",
    "local": "local did",
    "": "",
}
_OUTBOUND_TOLL_FREE = "outbound did, toll free"

TOLL_FREE_CODES = frozenset(["800", "833", "844", "855", "866", "877", "888"])

_DIALLED = re.compile(r"[0-9*#x]{1,32}")
_WORD = re.compile(r"\[[^\[\]]{1,64}\]")
_EXPECTED = "digits, *, # and x such as 1800xxxxxxx, or a word in brackets such as [inbound]"


class FilterHit(NamedTuple):
    """The list and the pattern that a call matches."""

    effect: FilterEffect
    pattern: str


class Patterns:
    """One list of patterns, compiled once. Raises BadInput for an invalid pattern."""

    __slots__ = ("_literal", "_masks", "_words")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._literal: dict[str, str] = {}
        self._masks: dict[int, list[tuple[re.Pattern[str], str]]] = {}
        self._words: list[tuple[str, str]] = []
        for pattern in patterns:
            self._add(pattern, pattern.strip().lower())

    def __bool__(self) -> bool:
        return bool(self._literal or self._masks or self._words)

    def match(self, forms: tuple[str, ...], description: str) -> str | None:
        """The first pattern that matches one of a number's forms, or the description."""
        for form in forms:
            if form in self._literal:
                return self._literal[form]
            for mask, pattern in self._masks.get(len(form), ()):
                if mask.fullmatch(form):
                    return pattern
        for word, pattern in self._words:
            if word in description:
                return pattern
        return None

    def _add(self, pattern: str, normalized: str) -> None:
        if _WORD.fullmatch(normalized) and normalized[1:-1].strip():
            self._words.append((normalized[1:-1].strip(), pattern))
        elif not _DIALLED.fullmatch(normalized):
            raise BadInput("filter pattern", pattern, _EXPECTED)
        elif "x" in normalized:
            mask = re.compile(re.escape(normalized).replace("x", "[0-9]"))
            self._masks.setdefault(len(normalized), []).append((mask, pattern))
        else:
            self._literal.setdefault(normalized, pattern)


class CallFilter:
    """A package's lists: `hide` (neither billed nor shown) takes precedence over `not_billed`."""

    __slots__ = ("_hide", "_is_empty", "_not_billed")

    def __init__(self, hide: Iterable[str] = (), not_billed: Iterable[str] = ()) -> None:
        self._hide = Patterns(hide)
        self._not_billed = Patterns(not_billed)
        self._is_empty = not (self._hide or self._not_billed)

    def check(self, number: DialledNumber, direction: str) -> FilterHit | None:
        """The list and pattern that filter a call to `number`; None if none does."""
        if self._is_empty:
            return None
        forms, description = number_forms(number), call_description(number, direction)
        hidden = self._hide.match(forms, description)
        if hidden is not None:
            return FilterHit("hide", hidden)
        excluded = self._not_billed.match(forms, description)
        return None if excluded is None else FilterHit("not-billed", excluded)


def call_description(number: DialledNumber, direction: str) -> str:
    """A call's description in lower case, in which `[word]` is searched."""
    if direction == "outbound" and is_toll_free(number):
        return _OUTBOUND_TOLL_FREE
    if not direction and number.kind == "extension":
        return _DESCRIBED["local"]
    return _DESCRIBED[direction]


def is_toll_free(number: DialledNumber) -> bool:
    """Whether the number is a toll-free number of the North American plan."""
    digits = number.digits
    return len(digits) == 11 and digits[0] == "1" and digits[1:4] in TOLL_FREE_CODES


def number_forms(number: DialledNumber) -> tuple[str, ...]:
    """The forms of a number that a pattern may contain, most exact first.

    A North American number has two, with and without its 1; a number abroad has one. The number
    as dialled, with its exit code or prefix, is also one.
    """
    digits, dialled = number.digits, number.dialled
    if len(digits) == 11 and digits[0] == "1":
        forms: tuple[str, ...] = (digits, digits[1:])
    elif len(digits) == 10 and not number.international and digits.isdigit():
        forms = (digits, "1" + digits)
    else:
        forms = (digits,)
    return forms if dialled in forms else (*forms, dialled)
