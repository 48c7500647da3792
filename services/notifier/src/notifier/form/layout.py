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
class ClientPageLinks:
    """The public address of the clients' own pages, and the key that signs the links to them."""

    page_url: str
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Layout:
    """What all mails have in common, from the operator's settings; each part can be empty.

    `address` is the company's postal address on one line. `unsubscribe` is None if no link is
    configured: the mail then asks for a reply instead. Without `client_page` it has no link to the
    client's own page.
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
    client_page: ClientPageLinks | None = None

    def for_samples(self) -> "Layout":
        """The same for previews and test copies: no link unsubscribes anybody or opens a page."""
        leave, page = self.unsubscribe, self.client_page
        return replace(
            self,
            unsubscribe=None if leave is None else replace(leave, key=_NO_KEY),
            client_page=None if page is None else replace(page, key=_NO_KEY),
        )


@dataclass(frozen=True)
class Link:
    """A URL and its text."""

    words: str
    url: str


@dataclass(frozen=True)
class Frame:
    """What surrounds the text of one mail. `notes` are the small lines at its end.

    `own_page` is the link to the client's own page, below the button.
    """

    language: str = "en"
    button: Link | None = None
    own_page: Link | None = None
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
        button=_button(frame.button) + _paragraph(frame.own_page),
        foot=_foot(layout, frame),
    )
    try:
        return _INLINER.inline(written)
    except _CAUSES_OF_TROUBLE:
        return written


def plain_page(layout: Layout, *, text: str, frame: Frame) -> str:
    """The plain part: the text, and everything else that the HTML part contains."""
    parts = [text.strip("\n")]
    parts += [f"{link.words}: {link.url}" for link in (frame.button, frame.own_page) if link]
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


def _paragraph(link: Link | None) -> str:
    return f"<p>{_anchor(link)}</p>" if link else ""


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
