"""Reading FusionPBX's HTML: list pages, form tokens, and the pages that mean "not logged in".

Seen in the sources of FusionPBX 5.0 to 5.6: a list page is one form whose rows carry a hidden
input `<kind>[n][uuid]`, a link to the row's edit page with its name, and a toggle button labelled
True or False. The labels follow the language of the key's user, so that user must read English.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Literal

Kind = Literal["gateways", "extensions", "domains"]

PATHS: dict[Kind, str] = {
    "gateways": "/app/gateways/gateways.php",
    "extensions": "/app/extensions/extensions.php",
    "domains": "/core/domains/domains.php",
}
_HEX64 = re.compile(r"[0-9a-fA-F]{64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ENDLESS_NUMBER = re.compile(r"&#[xX]?[0-9a-fA-F]{9,};?")
"""A character reference that names no character; `unescape` fails at more than 4,300 digits."""
_LABELS = {"true": True, "false": False}


@dataclass(frozen=True)
class Token:
    """A form's hidden input of 64 hexadecimal digits; without it a form is refused in silence."""

    name: str
    value: str


@dataclass(frozen=True)
class ListedRow:
    """A gateway, extension or domain as its list page shows it.

    `enabled` is the stored flag, None where the page has no toggle button labelled True or False:
    no right to switch it, or a language other than English. `domain` is known with `show=all`.
    """

    uuid: str
    name: str
    enabled: bool | None
    domain: str = ""


@dataclass(frozen=True)
class ListPage:
    """One page of a list: its rows, and the token that a form post from it needs."""

    rows: tuple[ListedRow, ...]
    token: Token | None


@dataclass
class _Row:
    uuid: str = ""
    name: str = ""
    buttons: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def listed(self, show_all: bool) -> ListedRow:
        states = [
            state for text in self.buttons if (state := _LABELS.get(text.lower())) is not None
        ]
        return ListedRow(
            uuid=self.uuid.lower(),
            name=self.name,
            enabled=states[0] if states else None,
            domain=self.cells[1] if show_all and len(self.cells) > 1 else "",
        )


class _Reader(HTMLParser):
    """Collects hidden inputs, and of each `list-row` its uuid, name, buttons and cells."""

    def __init__(self, kind: str) -> None:
        super().__init__(convert_charrefs=True)
        self._uuid_input = re.compile(rf"{kind}\[\d+\]\[uuid\]")
        self.rows: list[_Row] = []
        self.inputs: list[tuple[str, str]] = []
        self.has_list = False
        self.has_password = False
        self.gateway = ""
        self._row: _Row | None = None
        self._naming = False
        self._pressing = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.has_list = self.has_list or given.get("id") == "form_list"
        elif tag == "input":
            self._input(given)
            if given.get("name") == "gateway" and given.get("type") == "text":
                self.gateway = given.get("value", "")
        elif tag == "tr" and "list-row" in given.get("class", "").split():
            self._row = _Row()
            self.rows.append(self._row)
        elif self._row is not None:
            self._inside(tag, given)

    def _input(self, given: dict[str, str]) -> None:
        name, value = given.get("name", ""), given.get("value", "")
        self.has_password = self.has_password or given.get("type") == "password"
        if given.get("type") == "hidden":
            self.inputs.append((name, value))
            if self._row is not None and self._uuid_input.fullmatch(name):
                self._row.uuid = value

    def _inside(self, tag: str, given: dict[str, str]) -> None:
        assert self._row is not None
        if tag == "td":
            self._row.cells.append("")
        elif tag == "a":
            self._row.links.append(given.get("href", ""))
            self._naming = not self._row.name and "_edit.php?id=" in given.get("href", "")
        elif tag == "button":
            self._row.links.append(given.get("onclick", ""))
            self._pressing = True
            self._row.buttons.append("")

    def parse_html_declaration(self, i: int) -> int:
        """The base class ends with an AssertionError at some `<![`; a browser skips them all."""
        if self.rawdata.startswith("<![", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._row = None
        if tag in ("a", "td", "tr"):
            self._naming = False
        if tag in ("button", "td", "tr"):
            self._pressing = False

    def handle_data(self, data: str) -> None:
        row, text = self._row, data.strip()
        if row is None or not text:
            return
        if row.cells:
            row.cells[-1] += text
        if self._naming:
            row.name += text
        if self._pressing:
            row.buttons[-1] += text


def _read(html: str, kind: str) -> _Reader:
    reader = _Reader(kind)
    reader.feed(_ENDLESS_NUMBER.sub("�", html))
    reader.close()
    return reader


def _token(inputs: Iterable[tuple[str, str]]) -> Token | None:
    for name, value in inputs:
        if _HEX64.fullmatch(name) and _HEX64.fullmatch(value):
            return Token(name, value)
    return None


def read_list(html: str, kind: Kind, *, show_all: bool = False) -> ListPage | None:
    """A list page, or None when `html` is some other page (then `is_login_page` may say which)."""
    reader = _read(html, kind)
    if not reader.has_list:
        return None
    rows = tuple(row.listed(show_all) for row in reader.rows if _UUID.fullmatch(row.uuid))
    return ListPage(rows, _token(reader.inputs))


def find_token(html: str) -> Token | None:
    """The hidden input whose name and value are both 64 hexadecimal digits, if there is one."""
    return _token(_read(html, "").inputs)


def is_login_page(html: str) -> bool:
    """Whether FusionPBX shows its login form, which it does with status 200."""
    reader = _read(html, "")
    return reader.has_password and not reader.has_list


def is_denied(html: str) -> bool:
    """Whether a page says nothing but that the user has no right to it, which is a 200 as well."""
    return html.strip().lower() == "access denied"


def is_lost(location: str) -> bool:
    """Whether a redirect leads to the login: the session, or the key, was not accepted."""
    path, _, query = location.partition("?")
    return path.endswith(("login.php", "logout.php")) or "path=" in query


@dataclass(frozen=True)
class PageRow:
    """A row of any list page: the text of its cells, and where its links and buttons lead."""

    cells: tuple[str, ...]
    links: tuple[str, ...]


def rows_of(html: str) -> tuple[PageRow, ...]:
    """The rows of every list on a page."""
    return tuple(PageRow(tuple(r.cells), tuple(r.links)) for r in _read(html, "").rows)


def gateway_name(html: str) -> str:
    """The name in the form that edits a gateway; empty on any other page."""
    return _read(html, "").gateway
