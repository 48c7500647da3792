"""Emergency numbers: a live call that has one on a side is never ended.

Sparing a call by mistake costs some minutes of money, ending one by mistake may cost a life. So
doubtful cases count as emergency calls: 9911 may be an extension, or 911 behind an outside line.
"""

import re

NUMBERS = ("911", "112", "999", "000", "933")
"""North America, most countries, Britain, Australia; 933 reads back the address of a 911 call."""

_OUTSIDE_LINE = "9"
_ONE = "|".join(NUMBERS)
_WHOLE = re.compile(rf"{_OUTSIDE_LINE}?(?:{_ONE})")
_LETTERS_AND_DIGITS = re.compile(r"[^0-9a-z]+", re.IGNORECASE)
_WITHIN = re.compile(
    # No digit or letter beside it, but for the E of "E911"; no digit beyond a hyphen or dot either,
    # as in 416-999-0100 or in an address such as 10.0.112.5.
    rf"(?<![0-9a-z])(?<![0-9][-.])e?{_OUTSIDE_LINE}?(?:{_ONE})(?![0-9a-z])(?![-.][0-9])"
    rf"|(?<![0-9a-z]){_OUTSIDE_LINE}-(?:{_ONE})(?![0-9a-z])(?![-.][0-9])"
    r"|urn:service:sos(?![0-9a-z])",
    re.IGNORECASE | re.ASCII,
)


def is_emergency(number: str) -> bool:
    """Whether a number is an emergency number.

    `number` is as dialled or shown: with `+`, spaces, hyphens, a final `#`, or the 9 of an outside
    line. A number within a longer text (a SIP address, a name) is found by `names_emergency`.
    """
    return _WHOLE.fullmatch(_LETTERS_AND_DIGITS.sub("", number)) is not None


def names_emergency(text: str) -> bool:
    """Whether a text holds an emergency number as a word: `"Help" <sip:911@pbx.example>`.

    RFC 5031's `urn:service:sos` counts as one.
    """
    return _WITHIN.search(text) is not None
