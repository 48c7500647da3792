"""Parses templates in a safe subset of WHMCS's Smarty syntax; no code is executed.

`{$name}`, `{$name|default:'text'}`, `{if}` `{elseif}` `{else}` `{/if}`, `{* comment *}`,
`{literal}`, `{ldelim}` and `{rdelim}`. A brace followed by a space is plain text, as in Smarty.
Any other Smarty tag is rejected when the template is loaded, never when a mail is due.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from notifier.words.conditions import Condition, ConditionError, parse_condition
from notifier.words.nodes import (
    MODIFIERS,
    Branch,
    FieldNode,
    IfNode,
    Modifier,
    TemplateNode,
    TextNode,
)
from ringfence_contracts.errors import BadInput

_OPENS = re.compile(r"\{(?=[^ \t\r\n}])")
_TAG = re.compile(r"""\{((?:[^{}'"]|'[^']*'|"[^"]*")*)\}""")
_REST_OF_TAG = re.compile(r"\{[^}\n]{0,80}\}?")
_FIELD = re.compile(r"\$(?P<name>[A-Za-z_]\w*)(?P<modifiers>(?:\|.*)?)", re.ASCII | re.DOTALL)
_MODIFIER = re.compile(
    r"""\|\s*(?P<name>[A-Za-z_]\w*)\s*
    (?::\s*(?P<argument>'[^'\\]*'|"[^"\\$`]*"|-?\d+(?:\.\d+)?|[A-Za-z_]+)\s*)?""",
    re.VERBOSE | re.ASCII,
)
_LITERAL_END = re.compile(r"\{/literal\}")
_SIGN = re.compile(r"[$£€¥]\Z")
_DECIMALS = re.compile(r"[.,]00(?![\d.,]*\d)")
_REST_OF_LINE = re.compile(r"[ \t]*(?:\n|\Z)")
_WORD = re.compile(r"/?[a-z_]*", re.ASCII)
_DEPTH_AT_MOST = 20
_KNOWN_FORMS = (
    "{$field}, {$field|default:'text'}, {if …}, {elseif …}, {else}, {/if}, {* comment *},"
    " {literal}, or a space after a brace that is plain text"
)
_REFUSED = frozenset(
    (
        "append", "assign", "block", "call", "capture", "config_load", "debug", "eval", "extends",
        "for", "foreach", "foreachelse", "function", "include", "include_php", "insert", "math",
        "nocache", "php", "section", "setfilter", "strip", "while",
    )
)  # fmt: skip


def parse_nodes(
    name: str, text: str, line: int, is_known: Callable[[str], bool], known: Collection[str]
) -> tuple[TemplateNode, ...]:
    """Parse `text`, which begins on `line` of the template `name`.

    `known` are the merge fields that an error lists. Raises BadInput with template and line.
    """
    return _Parser(name, text, line, is_known, known).parse()


@dataclass
class _Open:
    """An open list of nodes; within `{if}`, with the branches before it."""

    line: int
    condition: Condition | None = None
    nodes: list[TemplateNode] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    has_else: bool = False


class _Parser:
    def __init__(
        self,
        name: str,
        text: str,
        line: int,
        is_known: Callable[[str], bool],
        known: Collection[str],
    ) -> None:
        self._name = name
        self._text = text
        self._first_line = line
        self._is_known = is_known
        self._known = known
        self._stack = [_Open(line)]
        self._at = 0

    def parse(self) -> tuple[TemplateNode, ...]:
        while match := _OPENS.search(self._text, self._at):
            self._add_text(self._text[self._at : match.start()], self._at)
            self._at = match.start()
            self._tag()
        self._add_text(self._text[self._at :], self._at)
        if len(self._stack) > 1:
            raise BadInput(
                f"template {self._name!r}, line {self._stack[-1].line}",
                "{if …}",
                "{/if} after it: the end of the template was reached",
            )
        return tuple(self._stack[0].nodes)

    def _line(self, at: int | None = None) -> int:
        return self._first_line + self._text.count("\n", 0, self._at if at is None else at)

    def _refuse(self, expected: str = "") -> BadInput:
        shown = _REST_OF_TAG.match(self._text, self._at)
        assert shown is not None, "a tag begins here"
        return BadInput(
            f"template {self._name!r}, line {self._line()}",
            shown[0],
            expected or f"one of {_KNOWN_FORMS}; fields: {self._field_names()}",
        )

    def _field_names(self) -> str:
        return ", ".join(f"{{${name}}}" for name in sorted(self._known))

    def _add_text(self, text: str, at: int) -> None:
        if text:
            self._stack[-1].nodes.append(TextNode(text, self._line(at)))

    def _tag(self) -> None:
        """Parse the tag at the current position and move behind it."""
        if self._text.startswith("{*", self._at):
            self._comment()
            return
        tag = _TAG.match(self._text, self._at)
        if tag is None:
            raise self._refuse()
        inner = tag[1].rstrip()
        if inner.startswith("$"):
            self._field(inner, tag.end())
        elif inner == "literal":
            self._literal(tag.end())
        elif inner in ("ldelim", "rdelim"):
            self._add_text("{" if inner == "ldelim" else "}", self._at)
            self._at = tag.end()
        else:
            self._block(inner, tag.end())

    def _comment(self) -> None:
        end = self._text.find("*}", self._at + 2)
        if end < 0:
            raise self._refuse("*} at the end of the comment")
        self._after_block(end + 2)

    def _literal(self, start: int) -> None:
        end = _LITERAL_END.search(self._text, start)
        if end is None:
            raise self._refuse("{/literal} after it")
        self._add_text(self._text[start : end.start()], start)
        self._at = end.end()

    def _after_block(self, end: int) -> None:
        """Move behind a tag without output; if it is alone on its line, skip the whole line."""
        start = self._text.rfind("\n", 0, self._at) + 1
        rest = _REST_OF_LINE.match(self._text, end)
        if rest is None or self._text[start : self._at].strip(" \t"):
            self._at = end
            return
        nodes = self._stack[-1].nodes
        if nodes and isinstance(nodes[-1], TextNode) and self._at > start:
            nodes[-1] = replace(nodes[-1], text=nodes[-1].text.rstrip(" \t"))
        self._at = rest.end()

    def _field(self, inner: str, end: int) -> None:
        match = _FIELD.fullmatch(inner)
        if match is None or not self._is_known(match["name"]):
            raise self._refuse()
        nodes = self._stack[-1].nodes
        line, sign = self._line(), ""
        if nodes and isinstance(nodes[-1], TextNode) and (found := _SIGN.search(nodes[-1].text)):
            sign = found[0]
            nodes[-1] = replace(nodes[-1], text=nodes[-1].text[: found.start()])
        decimals = _DECIMALS.match(self._text, end)
        nodes.append(
            FieldNode(
                match["name"],
                line,
                self._modifiers(match["modifiers"]),
                sign,
                decimals[0] if decimals else "",
            )
        )
        self._at = decimals.end() if decimals else end

    def _modifiers(self, text: str) -> tuple[Modifier, ...]:
        found, at = [], 0
        while at < len(text):
            match = _MODIFIER.match(text, at)
            if match is None or (match["name"] not in MODIFIERS and match["name"] != "default"):
                known = ", ".join(["default:'text'", *sorted(MODIFIERS)])
                raise self._refuse(f"after the bar one of the modifiers {known}")
            argument = match["argument"]
            if (argument is None) == (match["name"] == "default") and match["name"] != "escape":
                form = "|default:'text'" if match["name"] == "default" else f"|{match['name']}"
                raise self._refuse(f"the form {form}")
            if argument and argument[0] in "'\"":
                argument = argument[1:-1]
            found.append(Modifier(match["name"], argument or ""))
            at = match.end()
        return tuple(found)

    def _block(self, inner: str, end: int) -> None:
        begins = _WORD.match(inner)
        word = begins[0] if begins else ""
        if word == "if":
            self._open(self._condition(inner[2:]))
        elif word == "elseif" or inner.startswith("else if "):
            self._next_branch(self._condition(inner.partition("if")[2]))
        elif inner == "else":
            self._next_branch(None)
        elif inner == "/if":
            self._close()
        elif word.lstrip("/") in _REFUSED:
            raise self._refuse(f"no {{{word.lstrip('/')}}}: templates know only {_KNOWN_FORMS}")
        else:
            raise self._refuse()
        self._after_block(end)

    def _condition(self, text: str) -> Condition:
        try:
            condition = parse_condition(text)
        except ConditionError as error:
            expected = f"a condition such as {{if $client_credit <= 0}} ({error})"
            raise self._refuse(expected) from None
        for name in condition.fields():
            if not self._is_known(name):
                raise self._refuse(f"one of the fields {self._field_names()}")
        return condition

    def _open(self, condition: Condition) -> None:
        if len(self._stack) > _DEPTH_AT_MOST:
            raise self._refuse(f"at most {_DEPTH_AT_MOST} {{if}} within each other")
        self._stack.append(_Open(self._line(), condition))

    def _next_branch(self, condition: Condition | None) -> None:
        opened = self._stack[-1]
        if len(self._stack) == 1 or opened.has_else:
            raise self._refuse("{if …} before it, and {else} last")
        opened.branches.append(Branch(opened.condition, tuple(opened.nodes)))
        opened.condition, opened.nodes = condition, []
        opened.has_else = condition is None

    def _close(self) -> None:
        if len(self._stack) == 1:
            raise self._refuse("{if …} before it")
        opened = self._stack.pop()
        opened.branches.append(Branch(opened.condition, tuple(opened.nodes)))
        self._stack[-1].nodes.append(IfNode(tuple(opened.branches), opened.line))
