"""Emergency numbers: a live call with one on either side is never ended.

Continuing a call by mistake costs some minutes; ending one by mistake may cost a life. So doubtful
cases count as emergency calls: 9911 may be an extension, or 911 after the 9 of an outside line.
"""

import re

NUMBERS = ("911", "112", "999", "000", "933")
"""North America, most countries, Britain, Australia; 933 tests the address of 911 calls."""

_OUTSIDE_LINE = "9"
_ONE = "|".join(NUMBERS)
_WHOLE = re.compile(rf"{_OUTSIDE_LINE}?(?:{_ONE})")
_LETTERS_AND_DIGITS = re.compile(r"[^0-9a-z]+", re.IGNORECASE)
_WITHIN = re.compile(
    # No digit or letter next to it, except the E of "E911". No digit separated from it by a hyphen
    # or a dot, as in 416-999-0100 or in an address such as 10.0.112.5.
    rf"(?<![0-9a-z])(?<![0-9][-.])e?{_OUTSIDE_LINE}?(?:{_ONE})(?![0-9a-z])(?![-.][0-9])"
    rf"|(?<![0-9a-z]){_OUTSIDE_LINE}-(?:{_ONE})(?![0-9a-z])(?![-.][0-9])"
    r"|urn:service:sos(?![0-9a-z])",
    re.IGNORECASE | re.ASCII,
)


def is_emergency(number: str) -> bool:
    """Whether a number is an emergency number.

    `number` may have a `+`, spaces, hyphens, a final `#`, or the 9 of an outside line. For a number
    within a longer text (a SIP address, a name), use `names_emergency`.
    """
    return _WHOLE.fullmatch(_LETTERS_AND_DIGITS.sub("", number)) is not None


def names_emergency(text: str) -> bool:
    """Whether a text contains an emergency number as a word: `"Help" <sip:911@pbx.example>`.

    RFC 5031's `urn:service:sos` counts as one.
    """
    return _WITHIN.search(text) is not None
