"""Mail templates: parses a template file, and renders it for one client.

Operators use the General Messages that they wrote for WHMCS, so `{$client_credit}` has the same
meaning here: `${$client_credit}` is a dollar sign and a value, and `{ $client_credit }` is plain
text, because a space follows the brace. Unknown syntax is rejected when the template is loaded,
never when a mail is due. The rules are those of domain/billing, section 8.

Pure: without clock, socket, database or logger.
"""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from notifier.html_text import text_of
from notifier.merge_fields import MERGE_FIELDS, is_merge_field
from notifier.words.links import linked
from notifier.words.nodes import IfNode, Segment, TemplateNode, TextNode, fields_of, filled
from notifier.words.oddities import odd_forms
from notifier.words.syntax import parse_nodes
from notifier.words.values import MergeValues
from ringfence_contracts.errors import BadInput

LONGEST = 100_000
_SUBJECT = re.compile(r"subject:[ \t]*(?P<text>.*)", re.IGNORECASE)
_ELEMENT = re.compile(r"<(?:!doctype|/?[a-z][a-z0-9]*)(?:\s[^<>]*)?/?>", re.IGNORECASE)


@dataclass(frozen=True)
class Template:
    """A valid template: it can be rendered with any values."""

    name: str
    subject: tuple[TemplateNode, ...]
    body: tuple[TemplateNode, ...]
    is_html: bool
    has_no_subject: bool = False
    """The subject is the template's name: neither the file nor a setting gives one."""

    def with_subject_of(self, other: "Template") -> "Template":
        """This template with the subject of another one."""
        return replace(self, subject=other.subject, has_no_subject=other.has_no_subject)

    def names(self, field: str) -> bool:
        """Whether the body uses the merge field, in a condition or elsewhere."""
        return any(name == field for name, _ in fields_of(self.body))


@dataclass(frozen=True)
class Rendered:
    """A rendered template: a subject of one line, and the same text plain and as HTML."""

    subject: str
    text: str
    html: str


def parse_template(name: str, source: str, *, subject: str = "") -> Template:
    """Parse a template: `Subject: …` on the first line, if any, then the body, plain or HTML.

    Without that line the subject is `subject`, or else `name`. Raises BadInput, with the template's
    name and the line, for an unknown merge field and for unsupported Smarty syntax.
    """
    lines = source.removeprefix("\ufeff").replace("\r\n", "\n")
    if "\x00" in lines:
        raise BadInput(f"template {name!r}", "a NUL character", "text")
    if len(lines) > LONGEST:
        raise BadInput(f"template {name!r}", f"{len(lines)} characters", f"at most {LONGEST}")
    first, _, rest = lines.partition("\n")
    heading = _SUBJECT.fullmatch(first.rstrip())
    own = heading["text"].strip() if heading else ""
    unread, line = (rest, 2) if heading else (lines, 1)
    body = unread.strip("\n")
    line += len(unread) - len(unread.lstrip("\n"))
    if not body.strip():
        raise BadInput(f"template {name!r}", body, "a text after the line Subject:")
    nodes = parse_nodes(name, f"{body}\n", line, is_merge_field, MERGE_FIELDS)
    return Template(
        name,
        subject=parse_nodes(name, own or subject or name, 1, is_merge_field, MERGE_FIELDS),
        body=nodes,
        is_html=_ELEMENT.search("".join(_own_words(nodes))) is not None,
        has_no_subject=not (own or subject),
    )


def _own_words(nodes: Sequence[TemplateNode]) -> Iterable[str]:
    for node in nodes:
        if isinstance(node, TextNode):
            yield node.text
        elif isinstance(node, IfNode):
            for branch in node.branches:
                yield from _own_words(branch.nodes)


def render(template: Template, values: MergeValues) -> Rendered:
    """Render `template` with `values`. Never raises, for any values; a missing one is empty.

    Values are escaped in the HTML part and unchanged in the plain part. A template without an HTML
    element is plain text, from which the HTML part is made; otherwise the plain part is made from
    the HTML.
    """
    subject = one_line("".join(segment.text for segment in filled(template.subject, values)))
    segments = list(filled(template.body, values))
    if template.is_html:
        markup = "".join(_escaped(segment) for segment in segments)
        return Rendered(subject or template.name, text_of(markup), markup)
    text = "".join(segment.text for segment in segments).strip("\n") + "\n"
    return Rendered(subject or template.name, text, _as_html(segments))


def _escaped(segment: Segment) -> str:
    if not segment.is_value:
        return segment.text
    escaped = html.escape(segment.text)
    return escaped.replace("\n", "<br>\n") if segment.keeps_lines else escaped


def one_line(text: str) -> str:
    """`text` without line breaks and control characters: a header of a mail."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _as_html(segments: Sequence[Segment]) -> str:
    paragraphs = re.split(r"\n{2,}", linked(segments).strip("\n"))
    return "".join("<p>{}</p>\n".format(p.replace("\n", "<br>\n")) for p in paragraphs)


def warnings(template: Template) -> list[str]:
    """Warnings about signs or decimals around a field that will look wrong in some mails."""
    return [*odd_forms(template.subject), *odd_forms(template.body)]
