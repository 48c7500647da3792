"""Validation errors of requests, in words for the person who typed the value. Pure.

The value of an unknown field is not shown: it may be a secret that was sent by mistake.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import ID_PATTERN

ID = (
    "an id of letters, digits, dots, dashes and underscores that begins with a letter or a digit, "
    "at most 100 characters"
)
_PATTERNS = {
    "^[A-Z]{3}$": "a currency of three capital letters, such as CAD",
    ID_PATTERN: ID,
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
_MOST = 100

_WORDS: dict[str, str] = {
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
    "missing": "a value: it is required",
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


class RefusedRequest(NamedTuple):
    """A refused request: the field, the value that may be shown, and what was expected.

    `message` is the whole error text; None: it is made from the other parts.
    """

    field: str
    value: object
    expected: str
    message: str | None = None


def refusal(
    problems: Sequence[Mapping[str, Any]], label: Callable[[str], str] = str
) -> RefusedRequest:
    """The errors of pydantic as one refusal: all missing fields together, else the first error.

    `label` maps the JSON name of a field to the label that operators know.
    """
    missing = [_field(problem) for problem in problems if problem["type"] == "missing"]
    if missing:
        return _missing(list(dict.fromkeys(missing)), label)
    return _one(problems[0], label)


def each_refusal(
    problems: Sequence[Mapping[str, Any]], label: Callable[[str], str] = str
) -> list[RefusedRequest]:
    """The errors of pydantic one by one: the first of each field, at most `_MOST`."""
    found: dict[tuple[object, ...], RefusedRequest] = {}
    for problem in problems:
        # Numbers are positions in a list; other parts of the path may be those of a union.
        place = (*(part for part in problem["loc"] if isinstance(part, int)), _field(problem))
        found.setdefault(place, _one(problem, label))
    return list(found.values())[:_MOST]


def _one(problem: Mapping[str, Any], label: Callable[[str], str]) -> RefusedRequest:
    field = _field(problem)
    if problem["type"] == "missing":
        return _missing([field], label)
    if problem["type"] == "json_invalid":
        where = problem["loc"][-1]
        return RefusedRequest("body", None, f"valid JSON; at character {where} it is not")
    if problem["type"] == "extra_forbidden":
        expected = "no such field"
        return RefusedRequest(field, None, expected, f"{label(field)}: there is no such field")
    error = problem.get("ctx", {}).get("error")
    if isinstance(error, BadInput):
        name = getattr(error, "name", error.field)
        return RefusedRequest(name, error.value, error.expected, str(error))
    value = problem.get("input")
    value = None if isinstance(value, dict | list | bytes) else value
    return RefusedRequest(field, value, _expected(problem))


def _missing(fields: list[str], label: Callable[[str], str]) -> RefusedRequest:
    names = [label(field) for field in fields]
    if len(fields) == 1:
        message = f"{names[0]} is missing: it is required"
        return RefusedRequest(fields[0], None, _WORDS["missing"], message)
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    expected = f"a value for each of {listed}: they are required"
    return RefusedRequest(
        ", ".join(fields), None, expected, f"{listed} are missing: they are required"
    )


def _field(problem: Mapping[str, Any]) -> str:
    names = [part for part in problem["loc"] if isinstance(part, str)]
    return names[-1] if names else "body"


def _expected(problem: Mapping[str, Any]) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "value_error":
        return str(context.get("error") or "another value")
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context.get("pattern", ""), "text of another form")
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        return words.format(context[name])
    return _WORDS.get(kind, "another value")
