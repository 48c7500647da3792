"""What pydantic expected instead of an invalid value, in words for a person. Pure.

pydantic's own sentences name its types and patterns; an operator reads these instead, in answers of
the API, in the reasons of dead records, and in errors about files and settings.
"""

from collections.abc import Mapping
from typing import Any

from ringfence_contracts.events.account import TIME_OF_DAY_PATTERN
from ringfence_contracts.events.model import ID_PATTERN
from ringfence_contracts.extension_ranges import RANGE_PATTERN

ID = (
    "an id of letters, digits, dots, dashes and underscores that begins with a letter or a digit, "
    "at most 100 characters"
)
_PATTERNS = {
    r"^(\d{1,15}|toll-free)$": "a DID with country code, its first digits, or toll-free",
    "^[A-Z]{3}$": "a currency of three capital letters, such as CAD",
    ID_PATTERN: ID,
    r"^\d{1,15}$": "1 to 15 digits, with country code, such as 4420",
    "^([1-9][0-9]{0,3})?$": "1 to 4 digits, such as 1, the first not 0; blank for none",
    "^[0-9a-f]{64}$": "a SHA-256 as 64 hexadecimal digits",
    RANGE_PATTERN: "a range of extensions such as 2100-2199",
    TIME_OF_DAY_PATTERN: "a time of day, such as 18:30",
    r"^\d{1,3}$": "a country code of 1 to 3 digits, such as 1",
    r"^\d{1,6}$": "1 to 6 digits, such as 011",
    r"^[\d*#]{0,15}$": "at most 15 digits, * or #",
    r"^\d{0,15}$": "at most 15 digits",
    r"^\d+/\d+$": "seconds as initial/further, such as 60/60",
    r"^\d{1,12}(\.\d{1,12})?$": "a decimal number such as 0.0125",
}
_INSTANT = "an instant with its offset, such as 2026-12-01T09:00:00-05:00"
_YES_NO = "yes or no"
_WHOLE = "a whole number"
_UUID = "an id such as 7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"
_OBJECT = "a JSON object"
_TEXT = "text"
_DATE = "a date such as 2026-12-01"
REQUIRED = "a value: it is required"

WORDS: dict[str, str] = {
    "string_type": _TEXT,
    "string_unicode": "text in UTF-8",
    "bool_type": _YES_NO,
    "bool_parsing": _YES_NO,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "a smaller number",
    "int_from_float": _WHOLE,
    "float_type": "a number",
    "float_parsing": "a number",
    "timezone_aware": _INSTANT,
    "timezone_naive": _INSTANT,
    "datetime_type": _INSTANT,
    "datetime_parsing": _INSTANT,
    "datetime_from_date_parsing": _INSTANT,
    "datetime_object_invalid": _INSTANT,
    "uuid_type": _UUID,
    "uuid_parsing": _UUID,
    "uuid_version": _UUID,
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "list_type": "a list",
    "tuple_type": "a list",
    "none_required": "nothing",
    "missing": REQUIRED,
    "json_invalid": "valid JSON",
    "json_type": "JSON",
    "recursion_loop": "a value that is not nested so deep",
    "url_parsing": "an address such as https://pbx.example.net",
    "url_scheme": "an address such as https://pbx.example.net",
    "bytes_type": _TEXT,
    "finite_number": "a number",
    "multiple_of": "a multiple of the step",
    "time_delta_parsing": "a duration",
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "extra_forbidden": "no such field",
    "union_tag_not_found": "one of fusionpbx, vodia or lesnet",
}

_BOUNDS: dict[str, tuple[str, str]] = {
    "string_too_long": ("at most {} characters", "max_length"),
    "string_too_short": ("at least {} characters", "min_length"),
    "greater_than_equal": ("{} or more", "ge"),
    "greater_than": ("more than {}", "gt"),
    "less_than_equal": ("at most {}", "le"),
    "less_than": ("less than {}", "lt"),
    "too_long": ("at most {} items", "max_length"),
    "too_short": ("at least {} items", "min_length"),
    "literal_error": ("{}", "expected"),
    "enum": ("{}", "expected"),
    "union_tag_invalid": ("one of {}", "expected_tags"),
}


def expected_words(problem: Mapping[str, Any]) -> str:
    """What was expected, of one of the errors of a ValidationError (with its context)."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "value_error":
        return str(context.get("error") or "another value")
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context.get("pattern", ""), "text of another form")
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        return words.format(context[name])
    return WORDS.get(kind, "another value")


def problem_words(problem: Mapping[str, Any]) -> str:
    """`expected …`, or the sentence of our own validator, which says what is wrong."""
    words = expected_words(problem)
    return words if problem["type"] == "value_error" else f"expected {words}"
