"""The layout of all mails: company, text, a button, and the reason for the mail. Pure."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import css_inline

from notifier.form.css import DEFAULT_COLOUR, style_of

_INLINER = css_inline.CSSInliner(
    keep_style_tags=True, keep_at_rules=True, load_remote_stylesheets=False
)
_NO_KEY = b"the key of samples, which no service accepts"
_CAUSES_OF_TROUBLE = (ValueError, css_inline.InlineError)


@dataclass(frozen=True)
class UnsubscribeLinks:
    """The public address of the API for unsubscribing, and the key that signs the tokens."""

    base_url: str
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Layout:
    """What all mails have in common, from the operator's settings; each part can be empty.

    `address` is the company's postal address on one line. `unsubscribe` is None if no link is
    configured: the mail then asks for a reply instead.
    """

    company: str = ""
    logo_url: str = ""
    colour: str = DEFAULT_COLOUR
    address: str = ""
    signature: str = ""
    pay_link: str = ""
    from_name: str = ""
    reply_to: str = ""
    unsubscribe: UnsubscribeLinks | None = None

    def for_samples(self) -> "Layout":
        """The same for previews and test copies: nobody is unsubscribed by their links."""
        if self.unsubscribe is None:
            return self
        return replace(self, unsubscribe=replace(self.unsubscribe, key=_NO_KEY))


@dataclass(frozen=True)
class Link:
    """A URL and its text."""

    words: str
    url: str


@dataclass(frozen=True)
class Frame:
    """What surrounds the text of one mail. `notes` are the small lines at its end."""

    language: str = "en"
    button: Link | None = None
    notes: Sequence[str | Link] = ()


def page(layout: Layout, *, subject: str, markup: str, frame: Frame) -> str:
    """The HTML part: `markup` within the layout, with the style written into each element.

    A template that is a complete HTML document is returned unchanged. Never raises.
    """
    if "<html" in markup[:2000].lower():
        return markup
    written = _PAGE.format(
        language=html.escape(frame.language),
        subject=html.escape(subject),
        style=style_of(layout.colour),
        head=_head(layout),
        words=markup,
        button=_button(frame.button),
        foot=_foot(layout, frame),
    )
    try:
        return _INLINER.inline(written)
    except _CAUSES_OF_TROUBLE:
        return written


def plain_page(layout: Layout, *, text: str, frame: Frame) -> str:
    """The plain part: the text, and everything else that the HTML part contains."""
    parts = [text.strip("\n")]
    if frame.button:
        parts.append(f"{frame.button.words}: {frame.button.url}")
    notes = [note if isinstance(note, str) else f"{note.words}: {note.url}" for note in frame.notes]
    company = [line for line in (layout.company, layout.address) if line]
    if company or notes:
        parts.append("\n".join(["-- ", *company, *notes]))
    return "\n\n".join(parts) + "\n"


def _head(layout: Layout) -> str:
    name = html.escape(layout.company)
    if layout.logo_url:
        logo = html.escape(layout.logo_url)
        return f'<tr><td class="head"><img src="{logo}" alt="{name}" width="200"></td></tr>'
    return f'<tr><td class="head">{name}</td></tr>' if name else ""


def _button(link: Link | None) -> str:
    if link is None:
        return ""
    return (
        '<table role="presentation" class="button" cellpadding="0" cellspacing="0"><tr><td>'
        f"{_anchor(link)}</td></tr></table>"
    )


def _foot(layout: Layout, frame: Frame) -> str:
    lines = [html.escape(line) for line in (layout.company, layout.address) if line]
    lines += [html.escape(n) if isinstance(n, str) else _anchor(n) for n in frame.notes]
    if not lines:
        return ""
    return '<tr><td class="foot">' + "".join(f"<p>{line}</p>" for line in lines) + "</td></tr>"


def _anchor(link: Link) -> str:
    return f'<a href="{html.escape(link.url)}">{html.escape(link.words)}</a>'


_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{subject}</title>
<style>{style}</style>
</head>
<body>
<table role="presentation" class="page" cellpadding="0" cellspacing="0"><tr><td align="center">
<table role="presentation" class="card" cellpadding="0" cellspacing="0">
{head}
<tr><td class="words">
{words}{button}</td></tr>
{foot}
</table>
</td></tr></table>
</body>
</html>
"""
