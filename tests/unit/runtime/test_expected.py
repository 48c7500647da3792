"""What was expected instead of an invalid value: in our words, for every error of pydantic."""

import re
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import core_schema

from ringfence_contracts.events.model import Count, Currency, Id, Instant, Text
from ringfence_contracts.expected import WORDS, expected_words, problem_words

LIBRARY = re.compile(r"[Ii]nput should|should match|valid (string|list)|Value error|required$")


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Id, "a b", "an id of letters"),
        (Id, "", "at least 1 characters"),
        (Currency, "cad", "a currency of three capital letters"),
        (Count, -1, "0 or more"),
        (Count, "many", "a whole number"),
        (Text, 7, "text"),
        (Instant, "2026-01-15T12:00:00", "an instant with its offset"),
        (Instant, "0001-01-01T00:00:00Z", "must be in the years 1900 to 9998"),
        (bool, "perhaps", "yes or no"),
        (list[int], 5, "a list"),
        (dict[str, int], 5, "a JSON object"),
    ],
)
def test_an_invalid_value_is_answered_in_words(kind: Any, value: object, words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    problem = refused.value.errors()[0]
    assert expected_words(problem).startswith(words)
    assert not LIBRARY.search(problem_words(problem))


def test_a_sentence_of_our_own_is_not_made_another_one() -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Text).validate_python("a\x00b")
    assert problem_words(refused.value.errors()[0]) == "must not contain NUL characters"


def test_each_kind_of_error_named_here_is_one_of_pydantics() -> None:
    assert set(WORDS) <= set(get_args(core_schema.ErrorType))
