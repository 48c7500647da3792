"""Mails to the operator in the same layout, built from headings, paragraphs, tables and lists.

Pure: without clock, socket, database or logger.
"""

import html
from collections.abc import Iterable
from datetime import datetime

from notifier.form.layout import Frame, Layout, page, plain_page
from notifier.html_text import text_of
from notifier.template import Rendered, one_line
from notifier.words.amounts import zone_of

_SUBJECT_AT_MOST = 120


def operator_mail(layout: Layout, subject: str, *parts: str) -> Rendered:
    """The mail of `parts`, which the functions below return; the plain part is made from them."""
    markup, shortened = "".join(parts), _shortened(one_line(subject))
    frame = Frame(notes=("This message is for the operator of ringfence.",))
    return Rendered(
        shortened,
        plain_page(layout, text=text_of(markup), frame=frame),
        page(layout, subject=shortened, markup=markup, frame=frame),
    )


def _shortened(subject: str) -> str:
    if len(subject) <= _SUBJECT_AT_MOST:
        return subject
    return f"{subject[: _SUBJECT_AT_MOST - 1]}…"


def heading(text: str) -> str:
    """The heading of the mail."""
    return f"<h1>{html.escape(text)}</h1>\n"


def section(text: str) -> str:
    """A heading within the mail."""
    return f"<h2>{html.escape(text)}</h2>\n"


def paragraph(text: str) -> str:
    """A paragraph; line breaks are kept."""
    lines = html.escape(text).replace("\n", "<br>\n")
    return f"<p>{lines}</p>\n"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """A table of two columns: name and value."""
    lines = "".join(
        f"<tr><th>{html.escape(name)}:</th><td>{html.escape(value)}</td></tr>\n"
        for name, value in rows
    )
    return f'<table class="facts">\n{lines}</table>\n'


def items(texts: Iterable[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{html.escape(text)}</li>\n" for text in texts) + "</ul>\n"


def written(instant: datetime, zone: str) -> str:
    """A time in `zone`, in the format of logs: `2026-01-15 07:00:00 EST`."""
    return f"{instant.astimezone(zone_of(zone)):%Y-%m-%d %H:%M:%S %Z}"
