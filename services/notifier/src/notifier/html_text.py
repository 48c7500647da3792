"""Makes the plain part of an HTML mail. Pure."""

import html
import re
from html.parser import HTMLParser

_ELEMENT = re.compile(r"<[^<>]*>")
_BREAKS = frozenset({"br", "div", "h1", "h2", "h3", "h4", "li", "tr", "table", "ul", "ol"})
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "table", "ul", "ol"})
_CELLS = frozenset({"td", "th"})
_UNSEEN = frozenset({"style", "script", "head", "title"})


def text_of(markup: str) -> str:
    """The text of `markup`, with its line breaks; a link is followed by its address.

    Never raises: from input that cannot be parsed as HTML, the elements are removed.
    """
    reader = _Words()
    try:
        reader.feed(markup)
        reader.close()
        words = "".join(reader.words)
    except AssertionError:  # HTMLParser raises it for a declaration such as <![x
        words = html.unescape(_ELEMENT.sub(" ", markup))
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in words.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._unseen = 0
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in _UNSEEN
        if tag in _CELLS:
            self.words.append(" ")
        if tag in _BREAKS:
            self.words.append("\n- " if tag == "li" else "\n")
        if tag == "a":
            self._links.append(dict(attrs).get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN and self._unseen:
            self._unseen -= 1
        if tag in _PARAGRAPHS:
            self.words.append("\n\n")
        if tag == "a" and self._links:
            self._name_address(self._links.pop())

    def _name_address(self, address: str) -> None:
        if address and not address.startswith("#") and address not in "".join(self.words[-1:]):
            self.words.append(f" ({address})")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.words.append(re.sub(r"[ \t\r\n]+", " ", data))
