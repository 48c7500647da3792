"""Mail templates: the variable syntax of Smarty, and nothing else of it.

Operators bring the General Messages that they wrote for WHMCS, so `{$client_credit}` means here
what it meant there: `${$client_credit}` is a dollar sign and a value, and `{ $client_credit }` is
plain text, for a space follows the brace. Whatever else starts a Smarty tag is refused when the
template is loaded, never when a mail is due. The rule is domain/billing's, section 8.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass

from notifier.html_text import text_of
from notifier.merge_fields import MERGE_FIELDS, MONEY_FIELDS, WITH_CURRENCY
from ringfence.errors import BadInput

_FIELD_OR_TAG = re.compile(r"\{\$(?P<field>[A-Za-z0-9_]+)\}|\{(?=[^ \t\r\n}])")
_REST_OF_TAG = re.compile(r"\{[^}\n]*\}?")
_SUBJECT = re.compile(r"subject:[ \t]*(?P<text>.*)", re.IGNORECASE)
_ELEMENT = re.compile(r"<(?:!doctype|/?[a-z][a-z0-9]*)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_DECIMALS = re.compile(r"\.\d")
_KNOWN = ", ".join(f"{{${name}}}" for name in sorted(MERGE_FIELDS))


@dataclass(frozen=True)
class MergeField:
    """A place in a template where a value goes, and the line of the file that it stands on."""

    name: str
    line: int


Piece = str | MergeField


@dataclass(frozen=True)
class Template:
    """A template that was accepted: it can be rendered with any values."""

    name: str
    subject: tuple[Piece, ...]
    body: tuple[Piece, ...]
    is_html: bool


@dataclass(frozen=True)
class Rendered:
    """A mail's words: the same text plain and as HTML, under one subject of one line."""

    subject: str
    text: str
    html: str


def parse_template(name: str, source: str) -> Template:
    """Read a template file: a first line `Subject: …`, then the body, plain or HTML.

    Raises BadInput, with the template's name and the line, for a missing subject, an unknown
    field and any Smarty syntax other than `{$name}`.
    """
    lines = source.removeprefix("\ufeff").replace("\r\n", "\n")
    if "\x00" in lines:
        raise BadInput(f"template {name!r}", "a NUL character", "text")
    first, _, rest = lines.partition("\n")
    subject = _SUBJECT.fullmatch(first.rstrip())
    if subject is None or not subject["text"].strip():
        raise BadInput(f"template {name!r}, line 1", first, "Subject: and the mail's subject")
    body = rest.strip("\n")
    skipped = len(rest) - len(rest.lstrip("\n"))
    if not body.strip():
        raise BadInput(f"template {name!r}", body, "a text after the line Subject:")
    template = Template(
        name,
        subject=tuple(_pieces(name, subject["text"].strip(), 1)),
        body=tuple(_pieces(name, f"{body}\n", 2 + skipped)),
        is_html=_ELEMENT.search(body) is not None,
    )
    _try_out(template)
    return template


def _pieces(name: str, text: str, line: int) -> list[Piece]:
    pieces: list[Piece] = []
    end = 0
    for match in _FIELD_OR_TAG.finditer(text):
        at_line = line + text.count("\n", 0, match.start())
        field = match["field"]
        if field not in MERGE_FIELDS:
            tag = _REST_OF_TAG.match(text, match.start())
            assert tag is not None, "the expression before matched a brace here"
            raise BadInput(
                f"template {name!r}, line {at_line}",
                tag[0],
                f"one of the merge fields {_KNOWN}, or a space after a brace that is plain text",
            )
        pieces += [text[end : match.start()], MergeField(field, at_line)]
        end = match.end()
    return [*pieces, text[end:]]


def _try_out(template: Template) -> None:
    """Values cannot change the structure of the HTML, so what renders once renders always."""
    try:
        render(template, dict.fromkeys(MERGE_FIELDS, ""))
    except AssertionError as error:
        raise BadInput(f"template {template.name!r}", str(error), "HTML that can be read") from None


def render(template: Template, values: Mapping[str, str]) -> Rendered:
    """The mail for `values`, which has every merge field. Never raises, whatever the values are.

    In the HTML part values are escaped, in the plain part they stand as they are. A template
    without an HTML element is plain text, and its HTML part is made from it; else the reverse.
    """
    subject = "".join(_filled(template.subject, values)).replace("\n", " ")
    if template.is_html:
        escaped = {name: html.escape(value) for name, value in values.items()}
        markup = "".join(_filled(template.body, escaped))
        text = text_of(markup)
    else:
        text = "".join(_filled(template.body, values))
        markup = _as_html(text)
    return Rendered(_one_line(subject), text, markup)


def _filled(pieces: tuple[Piece, ...], values: Mapping[str, str]) -> list[str]:
    return [piece if isinstance(piece, str) else values[piece.name] for piece in pieces]


def _one_line(text: str) -> str:
    """`text` without line breaks and control characters: a header of a mail."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _as_html(text: str) -> str:
    paragraphs = re.split(r"\n{2,}", html.escape(text).strip("\n"))
    return "".join("<p>{}</p>\n".format(p.replace("\n", "<br>\n")) for p in paragraphs)


def warnings(template: Template) -> list[str]:
    """What will look odd in some mails: decimals or a currency sign written twice."""
    return [
        warning
        for pieces in (template.subject, template.body)
        for index, piece in enumerate(pieces)
        if isinstance(piece, MergeField)
        for warning in _odd_neighbours(piece, before=pieces[index - 1], after=pieces[index + 1])
    ]


def _odd_neighbours(field: MergeField, before: Piece, after: Piece) -> list[str]:
    assert isinstance(before, str), "text stands on both sides of a field, if only an empty one"
    assert isinstance(after, str), "text stands on both sides of a field, if only an empty one"
    found = []
    decimals = _DECIMALS.match(after) is not None
    if decimals and field.name in MONEY_FIELDS:
        found.append(f"line {field.line}: {{${field.name}}} has decimals, and more follow it")
    elif decimals:
        found.append(
            f"line {field.line}: {{${field.name}}} is shown as it was typed; where that was 15.00,"
            f" the mail says 15.00{after[:3]}"
        )
    if before.endswith("$") and field.name in WITH_CURRENCY:
        found.append(f"line {field.line}: {{${field.name}}} brings its own currency sign")
    return found
