"""Evaluates the SQL expressions of the default setting that extends the export of calls. Pure.

The subset that a text column needs: names such as `c.billsec`, texts, `||`, `::text`, parentheses,
and the functions below. Every value is a text; an unknown name or function is an error, as in
PostgreSQL.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

ExportedRow = Mapping[str, str]
"""The columns by their full names, such as `c.billsec`."""
Evaluate = Callable[[ExportedRow], str]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<sign>\|\||::|[(),])"
    r"|(?P<name>[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?)|(?P<number>\d+))",
    re.IGNORECASE,
)
_CLASSES = {"[:cntrl:]": r"\x00-\x1f\x7f", "[:space:]": r"\s", "[:digit:]": "0-9"}


class BadExpression(Exception):
    """The database refuses the expression."""


class SelectedColumn(NamedTuple):
    """A column of the export: its name and how its value is computed."""

    alias: str
    value: Evaluate


def read_column(expression: str) -> SelectedColumn:
    """Parse `EXPRESSION as alias`, or the name of a column. Raises BadExpression."""
    return _Parser(expression).column()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))

    def column(self) -> SelectedColumn:
        named = self._tokens[0] if len(self._tokens) == 1 else None
        value = self._joined()
        if self._take("as"):
            alias = self._next()[1]
        elif named and named[0] == "name":
            alias = named[1].rpartition(".")[2]
        else:
            raise BadExpression("an alias is missing")
        if self._tokens:
            raise BadExpression(f"syntax error at or near {self._tokens[0][1]}")
        return SelectedColumn(alias, value)

    def _joined(self) -> Evaluate:
        parts = [self._cast()]
        while self._take("||"):
            parts.append(self._cast())
        return lambda row: "".join(part(row) for part in parts)

    def _cast(self) -> Evaluate:
        value = self._single()
        while self._take("::"):
            self._next()
        return value

    def _single(self) -> Evaluate:
        kind, text = self._next()
        if kind == "text":
            constant = text[1:-1].replace("''", "'")
            return lambda row: constant
        if kind == "number":
            return lambda row: text
        if text == "(":
            inner = self._joined()
            self._expect(")")
            return inner
        if kind != "name":
            raise BadExpression(f"syntax error at or near {text}")
        if self._take("("):
            return self._call(text.lower())
        return lambda row: _column(row, text)

    def _call(self, name: str) -> Evaluate:
        arguments = [self._joined()]
        while self._take(","):
            arguments.append(self._joined())
        self._expect(")")
        function = _FUNCTIONS.get(name)
        if function is None:
            raise BadExpression(f"function {name} does not exist")
        return lambda row: function(*(argument(row) for argument in arguments))

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise BadExpression("syntax error at end of input")
        return self._tokens.pop(0)

    def _take(self, text: str) -> bool:
        if self._tokens and self._tokens[0][1].lower() == text:
            self._tokens.pop(0)
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise BadExpression(f"{text} is missing")


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadExpression(f"syntax error at or near {text[at : at + 20]}")
        found.append((str(match.lastgroup), match[match.lastgroup or 0]))
        at = match.end()
    return found


def _column(row: ExportedRow, name: str) -> str:
    if name not in row:
        raise BadExpression(f"column {name} does not exist")
    return row[name]


def _coalesce(*values: str) -> str:
    return values[0]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _regexp_replace(text: str, pattern: str, by: str, flags: str = "") -> str:
    for name, characters in _CLASSES.items():
        pattern = pattern.replace(name, characters)
    return re.sub(pattern, by, text, count=0 if "g" in flags else 1)


def _chr(code: str) -> str:
    return chr(int(code))


_FUNCTIONS: dict[str, Callable[..., str]] = {
    "coalesce": _coalesce,
    "md5": _md5,
    "regexp_replace": _regexp_replace,
    "chr": _chr,
}
