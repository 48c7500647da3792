"""HTML as a tree of elements, so that the serialiser escapes every text."""

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

Part = str | Element
_CODE = re.compile(r"`([^`]+)`")
_LINE_ENDS = {
    "html", "head", "meta", "title", "style", "body", "nav", "header", "main", "footer", "section",
    "h1", "h2", "h3", "p", "ul", "ol", "li", "dl", "dd", "table", "thead", "tbody", "tr", "pre",
    "details", "summary", "div",
}  # fmt: skip
"""A line ends after these, so that a change of the page is a short diff."""


def element(tag: str, *parts: Part, **attributes: str) -> Element:
    """An element with its content; `class_` becomes `class`, `aria_label` becomes `aria-label`."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    made = Element(tag, named)
    for part in parts:
        if isinstance(part, str):
            _append_text(made, part)
        else:
            made.append(part)
    if tag in _LINE_ENDS:
        made.tail = "\n"
    return made


def _append_text(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text


def with_code(text: str) -> list[Part]:
    """The parts of a text, with words in backticks as `code` elements."""
    pieces = _CODE.split(text)
    return [element("code", piece) if n % 2 else piece for n, piece in enumerate(pieces) if piece]


def separated(parts: Iterable[Element], separator: str = ", ") -> list[Part]:
    """The elements with a separator between them."""
    spread: list[Part] = []
    for part in parts:
        spread += [separator, part] if spread else [part]
    return spread


def as_page(root: Element) -> str:
    """The text of a document whose `<html>` element is `root`."""
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html")
