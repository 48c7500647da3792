"""The syntax tree of a template: texts, merge fields and conditions; and how it is filled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from notifier.words.conditions import Condition, is_true
from notifier.words.values import Lines, MergeValues, comparable_text, display_text


@dataclass(frozen=True)
class TextNode:
    """Literal text of the template; `line` is the line of the file on which it begins."""

    text: str
    line: int


@dataclass(frozen=True)
class Modifier:
    """A modifier `|name:argument` of a value."""

    name: str
    argument: str = ""


@dataclass(frozen=True)
class FieldNode:
    """A merge field. `sign` and `decimals` are literal text around it that an amount replaces."""

    name: str
    line: int
    modifiers: tuple[Modifier, ...] = ()
    sign: str = ""
    decimals: str = ""


@dataclass(frozen=True)
class Branch:
    """The nodes that are shown if `condition` holds; None: in all other cases (`{else}`)."""

    condition: Condition | None
    nodes: tuple["TemplateNode", ...]


@dataclass(frozen=True)
class IfNode:
    """`{if}` … `{/if}`: the first branch whose condition holds is shown."""

    branches: tuple[Branch, ...]
    line: int


TemplateNode = TextNode | FieldNode | IfNode


class Segment(NamedTuple):
    """A piece of a filled template: a value, or literal text of the template."""

    text: str
    is_value: bool
    keeps_lines: bool = False


MODIFIERS: Mapping[str, Callable[[str], str]] = {
    "capitalize": str.title,
    "escape": str,  # values are always escaped in the HTML part, and never in the plain part
    "lower": str.lower,
    "trim": str.strip,
    "upper": str.upper,
}
"""All modifiers except `default`. Each is a pure function of the text."""


def filled(nodes: Sequence[TemplateNode], values: MergeValues) -> Iterator[Segment]:
    """The template filled with `values`. Never raises; a missing value is empty."""
    for node in nodes:
        if isinstance(node, TextNode):
            yield Segment(node.text, is_value=False)
        elif isinstance(node, FieldNode):
            yield _value(node, values)
        else:
            yield from filled(_chosen(node, values), values)


def _chosen(choice: IfNode, values: MergeValues) -> Sequence[TemplateNode]:
    for branch in choice.branches:
        if branch.condition is None or is_true(branch.condition.value(values)):
            return branch.nodes
    return ()


def _value(field: FieldNode, values: MergeValues) -> Segment:
    value = values.get(field.name, "")
    text = display_text(value, sign=field.sign, decimals=field.decimals)
    for modifier in field.modifiers:
        if modifier.name == "default":
            text = text if comparable_text(value) else _instead(modifier.argument, field)
        else:
            text = MODIFIERS[modifier.name](text)
    return Segment(text, is_value=True, keeps_lines=isinstance(value, Lines))


def _instead(argument: str, field: FieldNode) -> str:
    """The text of `default`: a number with the template's sign and decimals, other text without."""
    is_number = argument[:1].isdigit()
    return f"{field.sign}{argument}{field.decimals}" if is_number else argument


def fields_of(nodes: Sequence[TemplateNode]) -> Iterator[tuple[str, int]]:
    """Every merge field that is used, in conditions too, with its line."""
    for node in nodes:
        if isinstance(node, FieldNode):
            yield node.name, node.line
        elif isinstance(node, IfNode):
            for branch in node.branches:
                if branch.condition is not None:
                    yield from ((name, node.line) for name in branch.condition.fields())
                yield from fields_of(branch.nodes)
