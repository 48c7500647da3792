"""Normalises the called number into the form that tariffs use: country code first, digits only.

The steps and their order are defined in domain/billing, section 5. Where it leaves a choice:

- A number with a leading `+` is complete; nothing is stripped or prepended.
- Three to five dialled digits are an extension before any correction: with `strip_prefix` 9, 911
  stays 911.
- `prepend` replaces a stripped `strip_prefix`. Without a `strip_prefix`, it is put in front of
  every number that is not complete (exit code in front, or 1 and ten digits where the country code
  is 1). So `0` and `44` turn 020... into 4420... and do not change 0044...
- A national trunk prefix (the 0 of 020 7946 0000) is not guessed: set `strip_prefix` and `prepend`.
  Without them the number is invalid, because no country code starts with 0, and the call waits in
  the unrated queue.
- A complete number must be possible (`ringfence.numbers.facts`). Digits that came without `+` and
  exit code may have lost them on their way. They are read as a complete number if they are eleven
  or more, or if they are valid in the country whose code they begin with; ten digits that are also
  valid at home are at home.
- Where the country code is 1, six and seven digits are a number without its area code, never one
  of another country. Canada's 310-xxxx is complete and needs a row of 310 or longer.
- What follows a full number after `*`, `#`, `,`, `;` or a pause was dialled later: it is cut.
  Letters, digits of other scripts and addresses (`sip:...@...`) make a number invalid: without
  them it would be another number.
"""

import re
from typing import Literal, final

from ringfence.numbers.facts import NumberFacts, country_code_of, facts_of, own_regions

NumberKind = Literal["e164", "extension", "feature-code", "invalid"]

MAX_WRITTEN = 64
"""The most characters of a number."""

MIN_LOST_PLUS = 8
"""The fewest digits that can be a number of another country which lost its `+`, under +1."""

_DIALLED_LATER = re.compile(r"[,;].*|(?<=\d)\s*[pw][\d*#,;pw\s]*\Z", re.DOTALL | re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s().\-/\u2010-\u2015]+")
_DIALLED = re.compile(r"[0-9*#]+")
_AFTER_NUMBER = re.compile(r"[*#]")
_TRUNK_ZERO = "(0)"


@final
class DialledNumber:
    """A called number.

    `digits` is the normalised number (`e164`), the extension, or the feature code with its `*`;
    `dialled` is what the PBX recorded, without punctuation; `why` is why it is invalid.
    `international`: it belongs to another country than the package. `premium`: no free minutes
    pay for it. `least_prefix`: how many digits a tariff's prefix of it must have.
    """

    __slots__ = (
        "dialled", "digits", "international", "kind", "least_prefix", "premium", "why",
    )  # fmt: skip

    def __init__(
        self,
        kind: NumberKind,
        digits: str,
        international: bool,
        dialled: str,
        why: str = "",
        premium: bool = False,
        least_prefix: int = 1,
    ) -> None:
        self.kind = kind
        self.digits = digits
        self.international = international
        self.dialled = dialled
        self.why = why
        self.premium = premium
        self.least_prefix = least_prefix

    @property
    def is_national(self) -> bool:
        """Whether it is an ordinary number of the package's country: free minutes may pay."""
        return self.kind == "e164" and not (self.international or self.premium)


class NumberPlan:
    """How one package's PBX writes numbers; `read` parses one into a `DialledNumber`."""

    __slots__ = (
        "_corrects", "_country", "_exit", "_nanp", "_own_regions", "_prepend", "_strip",
        "_ten_digits",
    )  # fmt: skip

    def __init__(
        self,
        *,
        country_code: str = "1",
        exit_code: str = "011",
        strip_prefix: str = "",
        prepend: str = "",
        nanpa_10_digit: bool = True,
    ) -> None:
        self._country = country_code
        self._exit = exit_code
        self._strip = strip_prefix
        self._prepend = prepend
        self._ten_digits = nanpa_10_digit
        self._nanp = country_code == "1"
        self._own_regions = own_regions(country_code)
        self._corrects = bool(strip_prefix or prepend)

    @property
    def country_code(self) -> str:
        """The country code of the package."""
        return self._country

    def read(self, written: str) -> DialledNumber:
        """Normalise a number as a PBX wrote it; never raises."""
        if not (written.isdigit() and written.isascii()):
            return self._read_punctuated(written)
        if self._corrects:
            return self._read_dialled(self._correct(written), written)
        return self._read_digits(written, written)

    def _read_punctuated(self, written: str) -> DialledNumber:
        if written[1:].isdigit() and written[0] == "+" and written.isascii():
            return self._read_with_plus(written[1:])
        if len(written) > MAX_WRITTEN:
            return _invalid(written, f"longer than {MAX_WRITTEN} characters")
        bare = _DIALLED_LATER.sub("", written.strip())
        has_plus = bare.startswith("+")
        dialled = _SEPARATORS.sub("", self._without_trunk_zero(bare, has_plus).removeprefix("+"))
        if not dialled:
            return _invalid(written, "it holds no digits")
        if not _DIALLED.fullmatch(dialled):
            return _invalid(written, "it holds letters, an address or another sign")
        if has_plus:
            digits = _AFTER_NUMBER.split(dialled)[0]
            return self._read_with_plus(digits) if digits else _invalid(written, "no digits at +")
        corrected = self._correct(dialled) if self._corrects else dialled
        return self._read_dialled(corrected, dialled)

    def _read_with_plus(self, digits: str) -> DialledNumber:
        return _extension(digits) or self._complete(digits, digits)

    def _without_trunk_zero(self, bare: str, has_plus: bool) -> str:
        """The number without the `(0)` after its country code, unless the country dials the 0."""
        before, found, after = bare.partition(_TRUNK_ZERO)
        if not found:
            return bare
        code = _SEPARATORS.sub("", before.removeprefix("+"))
        if not has_plus:
            code = code.removeprefix(self._exit)
        rest = _AFTER_NUMBER.split(_SEPARATORS.sub("", after))[0]
        if not code.isdigit() or country_code_of(code) != code or not rest.isdigit():
            return bare
        keeps_zero = facts_of(f"{code}0{rest}").valid and not facts_of(code + rest).valid
        return bare if keeps_zero else before + after

    def _read_dialled(self, corrected: str, dialled: str) -> DialledNumber:
        if corrected[0] in "*#":
            return DialledNumber("feature-code", corrected, False, dialled)
        return self._read_digits(_AFTER_NUMBER.split(corrected)[0], dialled)

    def _read_digits(self, digits: str, dialled: str) -> DialledNumber:
        length = len(digits)
        if 3 <= length <= 5:
            return DialledNumber("extension", digits, False, dialled)
        if digits.startswith(self._exit):
            return self._complete(digits[len(self._exit) :], dialled)
        if digits[0] == "0":
            return _invalid(dialled, "no country code starts with 0: set strip_prefix and prepend")
        if length == 10 and (self._nanp or self._ten_digits):
            return self._ten(digits, dialled)
        if self._nanp:
            return self._without_country_code(digits, dialled)
        return self._abroad_or_own(digits, dialled)

    def _ten(self, digits: str, dialled: str) -> DialledNumber:
        """Ten digits: at home if they are valid there, else abroad if they are valid there."""
        at_home = facts_of(self._country + digits)
        if at_home.valid:
            if self._ten_digits:
                return self._made(self._country + digits, dialled, at_home)
            return _invalid(dialled, "10 digits without a country code: set nanpa_10_digit")
        abroad = facts_of(digits)
        if abroad.valid:
            return self._made(digits, dialled, abroad)
        other = f"+{digits} of none" if abroad.country_code else "no country code begins so"
        return _invalid(dialled, f"+{self._country}{digits} is of no area in use, and {other}")

    def _without_country_code(self, digits: str, dialled: str) -> DialledNumber:
        """Digits under +1 that are not ten, without `+` and exit code."""
        length = len(digits)
        if length == 7 and digits.startswith("310"):
            return DialledNumber("e164", digits, False, dialled, least_prefix=3)
        if length > 10:
            return self._complete(digits, dialled)
        abroad = facts_of(digits)
        if length >= MIN_LOST_PLUS and abroad.valid:
            return self._made(digits, dialled, abroad)
        return _invalid(dialled, f"{length} digits without a country code")

    def _abroad_or_own(self, digits: str, dialled: str) -> DialledNumber:
        """Digits without `+` and exit code where the country code is not 1."""
        if not digits.startswith(self._country) and facts_of(self._country + digits).valid:
            detail = f"+{digits} or +{self._country}{digits}: set prepend, or dial the exit code"
            if facts_of(digits).possible:
                return _invalid(dialled, detail)
        return self._complete(digits, dialled)

    def _correct(self, dialled: str) -> str:
        if len(dialled) <= 5 or self._has_exit_code(dialled):
            return dialled
        stripped = bool(self._strip) and dialled.startswith(self._strip)
        rest = dialled[len(self._strip) :] if stripped else dialled
        if not rest:
            return dialled
        may_prepend = stripped or not self._strip
        return self._prepend + rest if may_prepend and not self._is_complete(rest) else rest

    def _has_exit_code(self, dialled: str) -> bool:
        """Whether the number starts with the exit code, unless `strip_prefix` includes it."""
        strips_exit_code = len(self._strip) >= len(self._exit)
        return dialled.startswith(self._exit) and not (
            strips_exit_code and dialled.startswith(self._strip)
        )

    def _is_complete(self, rest: str) -> bool:
        return (
            rest[0] in "*#"
            or len(rest) <= 5
            or rest.startswith(self._exit)
            or (self._nanp and len(rest) == 11 and rest[0] == "1")
        )

    def _complete(self, digits: str, dialled: str) -> DialledNumber:
        facts = facts_of(digits)
        if facts.possible:
            return self._made(digits, dialled, facts)
        return _invalid(dialled, _why_impossible(digits, facts))

    def _made(self, digits: str, dialled: str, facts: NumberFacts) -> DialledNumber:
        own = facts.country_code == self._country and (
            facts.region in self._own_regions or not (self._nanp or facts.region)
        )
        return DialledNumber("e164", digits, not own, dialled, premium=facts.premium)


def number_of_charge(
    digits: str, international: bool, premium: bool, is_short: bool
) -> DialledNumber:
    """The number of a charge, from its explanation: it is not read again by newer data."""
    if is_short:
        return DialledNumber("extension", digits, international, digits)
    needs_310 = len(digits) == 7 and digits.startswith("310") and not international
    return DialledNumber("e164", digits, international, digits, "", premium, 3 if needs_310 else 1)


def _extension(digits: str) -> DialledNumber | None:
    return DialledNumber("extension", digits, False, digits) if 3 <= len(digits) <= 5 else None


def _why_impossible(digits: str, facts: NumberFacts) -> str:
    if not digits:
        return "it holds no digits"
    if digits[0] == "0":
        return "no country code starts with 0"
    if not facts.country_code:
        return f"no country code begins +{digits[:3]}"
    if facts.country_code == "1" and len(digits) == 11:
        return "under +1, area codes begin with 2 to 9"
    expected = "11" if facts.country_code == "1" else "not as many"
    return f"{len(digits)} digits, but +{facts.country_code} has {expected}"


def _invalid(written: str, why: str) -> DialledNumber:
    shown = written[:MAX_WRITTEN]
    return DialledNumber("invalid", shown, False, shown, why)
