"""Validation errors of requests, in words for the person who typed the value. Pure.

The value of an unknown field is not shown: it may be a secret that was sent by mistake. Neither is
that of a field that is a secret.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ringfence_contracts.errors import BadInput
from ringfence_contracts.expected import REQUIRED, expected_words

_MOST = 100
_SECRETS = frozenset(("password", "link", "secret"))


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
    lists = {_field(p) for p in problems if any(isinstance(part, int) for part in p["loc"])}
    for problem in problems:
        if problem["type"] == "too_short" and _field(problem) in lists:
            continue  # the list is only too short without its invalid parts
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
    if isinstance(value, dict | list | bytes) or field in _SECRETS:
        value = None
    return RefusedRequest(field, value, expected_words(problem))


def _missing(fields: list[str], label: Callable[[str], str]) -> RefusedRequest:
    names = [label(field) for field in fields]
    if len(fields) == 1:
        message = f"{names[0]} is missing: it is required"
        return RefusedRequest(fields[0], None, REQUIRED, message)
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    expected = f"a value for each of {listed}: they are required"
    return RefusedRequest(
        ", ".join(fields), None, expected, f"{listed} are missing: they are required"
    )


def _field(problem: Mapping[str, Any]) -> str:
    names = [part for part in problem["loc"] if isinstance(part, str)]
    return names[-1] if names else "body"
