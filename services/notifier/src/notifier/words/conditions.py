"""Conditions of `{if}`: comparisons of merge fields, texts and numbers; no code is executed.

A condition is data: it names merge fields, compares as PHP does, and cannot raise after it was
parsed. Truth values are PHP's: an empty text and "0" are false.
"""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from notifier.words.values import MergeValues, comparable_text

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<field>\$[A-Za-z_]\w*(?![\w.\[]|->))
      | (?P<text>'[^'\\]*'|"[^"\\$`]*")
      | (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
      | (?P<sign>===|!==|==|!=|<=|>=|<|>|&&|\|\||!|\(|\))
      | (?P<word>[A-Za-z]+)
    )""",
    re.VERBOSE | re.ASCII,
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_COMPARISONS: dict[str, str] = {
    "==": "==", "eq": "==", "===": "==", "!=": "!=", "ne": "!=", "neq": "!=", "!==": "!=",
    ">": ">", "gt": ">", "<": "<", "lt": "<", ">=": ">=", "gte": ">=", "ge": ">=",
    "<=": "<=", "lte": "<=", "le": "<=",
}  # fmt: skip
_MEANS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt,
    ">=": operator.ge, "<=": operator.le,
}  # fmt: skip
_DEPTH_AT_MOST = 30


class ConditionError(ValueError):
    """A condition with unsupported syntax; the message says what is wrong."""


class Condition(Protocol):
    """A part of a condition: its value as text, where "" and "0" are false."""

    def value(self, values: MergeValues) -> str:
        """Its value for these field values."""
        ...

    def fields(self) -> Iterator[str]:
        """The merge fields that it uses."""
        ...


@dataclass(frozen=True)
class Constant:
    """A text or a number in the template."""

    text: str

    def value(self, values: MergeValues) -> str:
        """The text."""
        return self.text

    def fields(self) -> Iterator[str]:
        """None."""
        return iter(())


@dataclass(frozen=True)
class FieldValue:
    """A merge field."""

    name: str

    def value(self, values: MergeValues) -> str:
        """The field's value; an amount as a plain decimal number."""
        return comparable_text(values.get(self.name, ""))

    def fields(self) -> Iterator[str]:
        """The field itself."""
        yield self.name


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    inner: Condition

    def value(self, values: MergeValues) -> str:
        """True where the inner condition is false."""
        return "" if is_true(self.inner.value(values)) else "1"

    def fields(self) -> Iterator[str]:
        """The fields of the inner condition."""
        return self.inner.fields()


@dataclass(frozen=True)
class BinaryExpression:
    """Two parts joined by `and`, `or` or a comparison."""

    sign: str
    left: Condition
    right: Condition

    def value(self, values: MergeValues) -> str:
        """True or false, as text."""
        left, right = self.left.value(values), self.right.value(values)
        if self.sign == "and":
            holds = is_true(left) and is_true(right)
        elif self.sign == "or":
            holds = is_true(left) or is_true(right)
        else:
            holds = _compare(self.sign, left, right)
        return "1" if holds else ""

    def fields(self) -> Iterator[str]:
        """The fields of both parts."""
        yield from self.left.fields()
        yield from self.right.fields()


def is_true(text: str) -> bool:
    """The truth value of a text in PHP."""
    return text not in ("", "0")


def _compare(sign: str, left: str, right: str) -> bool:
    """Compare two numbers as numbers, anything else as text."""
    if _NUMBER.fullmatch(left) and _NUMBER.fullmatch(right):
        return _MEANS[sign](Decimal(left), Decimal(right))
    return _MEANS[sign](left, right)


def parse_condition(text: str) -> Condition:
    """Parse the text between `{if` and `}`. Raises ConditionError."""
    reader = _Reader(text)
    found = reader.any_of(0)
    if reader.next:
        raise ConditionError(f"{reader.next} is not expected there")
    return found


class _Reader:
    """A recursive descent parser; `next` is the current token, empty at the end."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    @property
    def next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self.next
        self._at += 1
        return token

    def any_of(self, depth: int) -> Condition:
        found = self._all_of(depth)
        while self.next.lower() in ("||", "or"):
            self._take()
            found = BinaryExpression("or", found, self._all_of(depth))
        return found

    def _all_of(self, depth: int) -> Condition:
        found = self._comparison(depth)
        while self.next.lower() in ("&&", "and"):
            self._take()
            found = BinaryExpression("and", found, self._comparison(depth))
        return found

    def _comparison(self, depth: int) -> Condition:
        left = self._operand(depth)
        sign = _COMPARISONS.get(self.next.lower())
        if sign is None:
            return left
        self._take()
        return BinaryExpression(sign, left, self._operand(depth))

    def _operand(self, depth: int) -> Condition:
        if depth > _DEPTH_AT_MOST:
            raise ConditionError(f"more than {_DEPTH_AT_MOST} conditions within each other")
        token = self._take()
        if token.startswith("$"):
            return FieldValue(token[1:])
        if token[:1] in ("'", '"'):
            return Constant(token[1:-1])
        if _NUMBER.fullmatch(token):
            return Constant(token)
        return self._by_word(token.lower(), depth)

    def _by_word(self, word: str, depth: int) -> Condition:
        if word in ("!", "not"):
            return Not(self._operand(depth + 1))
        if word == "(":
            return self._closed(depth)
        if word in ("empty", "isset") and self.next == "(":
            self._take()
            inner = self._closed(depth)
            return Not(inner) if word == "empty" else BinaryExpression("!=", inner, Constant(""))
        if word in ("true", "false", "null"):
            return Constant("1" if word == "true" else "")
        raise ConditionError(f"{word} is not expected there" if word else "something is missing")

    def _closed(self, depth: int) -> Condition:
        inner = self.any_of(depth + 1)
        if self._take() != ")":
            raise ConditionError("a closing parenthesis is missing")
        return inner


def _tokens(text: str) -> Iterator[str]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConditionError(f"{text[at:].strip()[:30]!r} is not known in conditions")
        yield match[0].strip()
        at = match.end()
