"""Finds parts of a template that will look wrong in some mails, when the template is checked."""

import html
import re
from collections.abc import Iterator, Sequence

from notifier.merge_fields import MERGE_FIELDS, MONEY_FIELDS, PROFILE_FIELDS
from notifier.words.nodes import FieldNode, IfNode, TemplateNode, TextNode, fields_of

_TAGS = re.compile(r"<[^<>]*>")
_SIGN_BEFORE = re.compile(r"(?P<sign>[$£€¥]|\b[A-Z]{1,3}[$])\s*\Z")
_LETTERS_BEFORE = re.compile(r"[A-Za-z]\Z")
_SIGN_BEHIND = re.compile(r"\s*(?P<sign>[$£€¥]|(?:CAD|USD|EUR|GBP|AUD|NZD|MXN|CHF)\b)")
_DECIMALS_BEHIND = re.compile(r"[.,]\d+")


def odd_forms(nodes: Sequence[TemplateNode]) -> Iterator[str]:
    """A warning, with its line, for each part that will look wrong."""
    for index, node in enumerate(nodes):
        if isinstance(node, IfNode):
            for branch in node.branches:
                yield from odd_forms(branch.nodes)
        elif isinstance(node, FieldNode):
            before, behind = _words(nodes, index - 1), _words(nodes, index + 1)
            yield from (f"line {node.line}: {what}" for what in _around(node, before, behind))
    for name, line in fields_of(tuple(node for node in nodes if not isinstance(node, IfNode))):
        if name not in MERGE_FIELDS and name not in PROFILE_FIELDS:
            yield (
                f"line {line}: {{${name}}} is a custom field that no profile has by default: it is"
                " empty for clients without it"
            )


def _words(nodes: Sequence[TemplateNode], index: int) -> str:
    """The literal text beside a field, without HTML elements and entities."""
    if not 0 <= index < len(nodes):
        return ""
    node = nodes[index]
    return html.unescape(_TAGS.sub("", node.text)) if isinstance(node, TextNode) else ""


def _around(field: FieldNode, before: str, behind: str) -> Iterator[str]:
    shown = f"{field.sign}{{${field.name}}}{field.decimals}"
    if field.name not in MONEY_FIELDS:
        if field.sign:
            yield f"{shown}: {{${field.name}}} is no amount, and a currency's sign is before it"
        return
    if field.sign and (_LETTERS_BEFORE.search(before) or _SIGN_BEFORE.search(before)):
        yield f"{before[-3:]}{shown}: write one sign, without letters, directly before the field"
    elif found := _SIGN_BEFORE.search(before):
        yield (
            f"{found[0]}{shown}: the sign is not directly before the field, so it stays the same"
            " for clients of every currency"
        )
    if found := _DECIMALS_BEHIND.match(behind):
        yield f"{shown}{found[0]}: the amount has its own decimals, and more are behind it"
    elif found := _SIGN_BEHIND.match(behind):
        yield (
            f"{shown}{found[0]}: the sign is behind the field, so it stays the same for clients of"
            " every currency; write it directly before the field"
        )
