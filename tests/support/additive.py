"""The statements of a migration that remove something from services of the earlier version."""

import re
from collections.abc import Iterable, Iterator

_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^']|'')*')|(?P<dollar>\$(\w*)\$)|(?P<end>;)",
    re.DOTALL,
)
_MEANT = re.compile(r"^\s*--\s*not additive: ADR (\d{4})\b", re.MULTILINE | re.IGNORECASE)
_NAME = r"(?P<name>[\w.\"]+)"
_TABLE = re.compile(
    rf"alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?{_NAME}\s+(?P<what>.*)", re.DOTALL
)
_CREATED = re.compile(
    rf"create\s+(?:table|(?:or\s+replace\s+)?view|function)\s+(?:if\s+not\s+exists\s+)?{_NAME}"
)
_INDEX = re.compile(rf"create\s+unique\s+index\s.*?\bon\s+(?:only\s+)?{_NAME}", re.DOTALL)
_GONE = re.compile(
    rf"(?:drop\s+\w+|truncate(?:\s+table)?|delete\s+from)\s+(?:if\s+exists\s+)?{_NAME}"
)
_IN_A_BLOCK = re.compile(r"^.*\b(?:begin|then|else|loop)\s+", re.DOTALL)
_ACTIONS = {
    re.compile(r"drop\b(?!\s+default)"): "takes something away",
    re.compile(r"alter\s+(?:column\s+)?\S+\s+drop\b"): "takes something away",
    re.compile(r"rename\b|set\s+schema\b"): "renames",
    re.compile(r"alter\s+(?:column\s+)?\S+\s+(?:set\s+data\s+)?type\b"): "changes a type",
    re.compile(r"alter\s+(?:column\s+)?\S+\s+set\s+not\s+null"): "refuses null",
    re.compile(
        r"add\s+(?:constraint|check|unique|primary|foreign|exclude)\b"
    ): "refuses what was accepted",
    re.compile(
        r"add\s+(?:column\s+)?(?!.*\b(?:default|generated)\b).*\bnot\s+null\b", re.DOTALL
    ): "needs a value that earlier services do not give",
    re.compile(
        r"add\s+(?:column\s+)?.*\b(?:unique|primary\s+key)\b", re.DOTALL
    ): "refuses what was accepted",
}
_ELSEWHERE = {
    re.compile(r"alter\s.*\b(?:rename|set\s+schema)\b", re.DOTALL): "renames",
    re.compile(r"revoke\b"): "takes a right away",
    re.compile(r"create\s+(?:or\s+replace\s+)?(?:constraint\s+)?trigger\b"): "adds a trigger",
    re.compile(r"execute\b"): "runs a text that is not looked into",
}


def subtractions(files: Iterable[str]) -> Iterator[tuple[str, str, str | None]]:
    """Statements of these migrations, in order, that an earlier service could stumble over.

    Each with what it does, and the number of the ADR that the line before it names. What these
    files create themselves is theirs to change.
    """
    created: set[str] = set()
    for text in files:
        for comments, statement in _statements(text):
            if found := _CREATED.match(statement):
                created.add(found["name"])
            elif what := _taken_away(statement, created):
                meant = _MEANT.search(comments)
                yield " ".join(statement.split()), what, meant[1] if meant else None


def _taken_away(statement: str, created: set[str]) -> str | None:
    if table := _TABLE.match(statement):
        if table["name"] in created:
            return None
        return _first(_ACTIONS, *_actions(table["what"]))
    if (found := _INDEX.match(statement) or _GONE.match(statement)) is not None:
        if found["name"] in created:
            return None
        return "refuses what was accepted" if "unique" in statement else "takes something away"
    return _first(_ELSEWHERE, statement)


def _first(patterns: dict[re.Pattern[str], str], *texts: str) -> str | None:
    found = (what for text in texts for pattern, what in patterns.items() if pattern.match(text))
    return next(found, None)


def _actions(what: str) -> Iterator[str]:
    """The parts of an `alter table`, which commas outside of brackets divide."""
    depth, begun = 0, 0
    for place, letter in enumerate(what):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield what[begun:place].strip()
            begun = place + 1
    yield what[begun:].strip()


def _statements(text: str) -> Iterator[tuple[str, str]]:
    """Each statement in small letters, without texts and bodies; and the comments before it."""
    comments, kept, place = "", "", 0
    while token := _TOKEN.search(text, place):
        kept += text[place : token.start()]
        place = token.end()
        if token["comment"]:
            comments += token["comment"] + "\n" if not kept.strip() else ""
        elif token["text"]:
            kept += "''"
        elif token["dollar"]:
            closing = text.index(token["dollar"], place)
            body, place = text[place:closing], closing + len(token["dollar"])
            if kept.strip().lower().startswith("do"):  # it runs now; a function's body does not
                for before, statement in _statements(body):
                    yield before, _IN_A_BLOCK.sub("", statement)
        else:
            yield comments, kept.strip().lower()
            comments = kept = ""
    if (kept + text[place:]).strip():
        yield comments, (kept + text[place:]).strip().lower()
