"""Normalises the called number into the form that tariffs use: country code first, digits only.

The steps and their order are defined in domain/billing, section 5. Where it leaves a choice:

- A number with a leading `+` is complete; nothing is stripped or prepended.
- Three to five dialled digits are an extension before any correction: with `strip_prefix` 9, 911
  stays 911.
- `prepend` replaces a stripped `strip_prefix`. Without a `strip_prefix`, it is put in front of
  every number that is not complete (exit code in front, or 1 and ten digits where the country code
  is 1). So `0` and `44` turn 020... into 4420... and do not change 0044...
- A national trunk prefix (the 0 of 020 7946 0000) differs between countries and is not guessed: set
  `strip_prefix` and `prepend`. Without them the number is invalid, because no country code starts
  with 0, and the call waits in the unrated queue.
- Where the country code is 1, six to ten digits without a country code are never looked up as if
  they had one: ten digits get it if the package says so, Canada's 310-xxxx is complete, and all
  others are invalid rather than charged as calls abroad.
- Letters, digits of other scripts and addresses (`sip:...@...`) make a number invalid: without
  them it would be another number.
"""

import re
from typing import Literal, final

NumberKind = Literal["e164", "extension", "feature-code", "invalid"]

MAX_WRITTEN = 64
"""The most characters of a number."""

MIN_E164, MAX_E164 = 6, 15
"""Digits of a complete number, country code included (ITU-T E.164)."""

ABROAD_IN_NANP = frozenset(
    "242 246 264 268 284 345 441 473 649 658 664 721 758 767 784 809 829 849 868 869 876".split()  # noqa: SIM905 -- a table reads better than 21 quoted strings
)
"""Area codes under country code 1 of countries other than the United States and Canada."""

_NOT_PART_OF_A_NUMBER = re.compile(r"[^\W0-9_]|[@:]")
_NOT_DIALLED = re.compile(r"[^0-9*#]")


@final
class DialledNumber:
    """A called number.

    `digits` is the normalised number (`e164`), the extension, or the feature code with its `*`;
    `dialled` is what the PBX recorded, without punctuation; `why` is why it is invalid.
    """

    __slots__ = ("dialled", "digits", "international", "kind", "why")

    def __init__(
        self, kind: NumberKind, digits: str, international: bool, dialled: str, why: str = ""
    ) -> None:
        self.kind = kind
        self.digits = digits
        self.international = international
        self.dialled = dialled
        self.why = why


class NumberPlan:
    """How one package's PBX writes numbers; `read` parses one into a `DialledNumber`."""

    __slots__ = ("_corrects", "_country", "_exit", "_nanp", "_prepend", "_strip", "_ten_digits")

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
        self._corrects = bool(strip_prefix or prepend)

    def read(self, written: str) -> DialledNumber:
        """Normalise a number as a PBX wrote it; never raises."""
        if not (written.isdigit() and written.isascii()):
            return self._read_punctuated(written)
        if self._corrects:
            return self._read_dialled(self._correct(written), written)
        return self._read_digits(written, written)

    def _read_punctuated(self, written: str) -> DialledNumber:
        if written[1:].isdigit() and written[0] == "+" and written.isascii():
            digits = written[1:]
            return _extension(digits, digits) or self._complete(digits, digits)
        if len(written) > MAX_WRITTEN:
            return _invalid(written, f"longer than {MAX_WRITTEN} characters")
        if _NOT_PART_OF_A_NUMBER.search(written):
            return _invalid(written, "it holds letters or an address")
        bare = written.strip()
        dialled = _NOT_DIALLED.sub("", bare)
        if not dialled:
            return _invalid(written, "it holds no digits")
        if bare[0] == "+":
            digits = _only_digits(dialled)
            return _extension(digits, digits) or self._complete(digits, digits)
        corrected = self._correct(dialled) if self._corrects else dialled
        return self._read_dialled(corrected, dialled)

    def _read_dialled(self, corrected: str, dialled: str) -> DialledNumber:
        if corrected[0] in "*#":
            return DialledNumber("feature-code", corrected, False, dialled)
        return self._read_digits(_only_digits(corrected), dialled)

    def _read_digits(self, digits: str, dialled: str) -> DialledNumber:
        length = len(digits)
        if 3 <= length <= 5:
            return DialledNumber("extension", digits, False, dialled)
        if digits.startswith(self._exit):
            return self._complete(digits[len(self._exit) :], dialled)
        if digits[0] == "0":
            return _invalid(dialled, "no country code starts with 0: set strip_prefix and prepend")
        if length == 10 and self._ten_digits:
            return self._complete(self._country + digits, dialled)
        if self._nanp and 6 <= length <= 10 and not _is_310(digits):
            return _invalid(dialled, f"{length} digits without a country code")
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
        if not MIN_E164 <= len(digits) <= MAX_E164:
            return _invalid(dialled, f"{len(digits)} digits, not {MIN_E164} to {MAX_E164}")
        if digits[0] == "0":
            return _invalid(dialled, "no country code starts with 0")
        abroad = not digits.startswith(self._country) or (
            self._nanp and digits[1:4] in ABROAD_IN_NANP
        )
        return DialledNumber("e164", digits, abroad, dialled)


def _extension(digits: str, dialled: str) -> DialledNumber | None:
    return DialledNumber("extension", digits, False, dialled) if 3 <= len(digits) <= 5 else None


def _only_digits(dialled: str) -> str:
    if dialled.isdigit():
        return dialled
    return dialled.replace("*", "").replace("#", "")


def _is_310(digits: str) -> bool:
    return len(digits) == 7 and digits.startswith("310")


def _invalid(written: str, why: str) -> DialledNumber:
    shown = written[:MAX_WRITTEN]
    return DialledNumber("invalid", shown, False, shown, why)
