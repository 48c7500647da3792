"""Parses FusionPBX's HTML: list pages, form tokens, and the pages that mean "not logged in".

In the sources of FusionPBX 5.0 to 5.6, a list page is one form. Each row has a hidden input
`<kind>[n][uuid]`, a link with the row's name to its edit page, and a toggle button labelled True or
False. The labels are in the language of the key's user, which must be English.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Literal

Kind = Literal["gateways", "extensions", "domains", "destinations"]

PATHS: dict[Kind, str] = {
    "gateways": "/app/gateways/gateways.php",
    "extensions": "/app/extensions/extensions.php",
    "domains": "/core/domains/domains.php",
    "destinations": "/app/destinations/destinations.php",
}
_HEX64 = re.compile(r"[0-9a-fA-F]{64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ENDLESS_NUMBER = re.compile(r"&#[xX]?[0-9a-fA-F]{9,};?")
"""A reference to no character; `unescape` fails at one with more than 4,300 digits."""
_LABELS = {"true": True, "false": False}
_RUNS = {"stop": True, "start": False}
"""A gateway's other button offers to stop it if the switch runs it, else to start it."""
_OTHER_FORMS = frozenset({"gateway", "extension", "extension_uuid"})
"""Fields of the edit forms with a SIP password: a page with one is not the login page."""


@dataclass(frozen=True)
class Token:
    """A form's hidden input of 64 hexadecimal digits. A post without it is silently ignored."""

    name: str
    value: str


@dataclass(frozen=True)
class ListedRow:
    """A gateway, extension, domain or destination as its list page shows it.

    `enabled` is the stored flag; None where the page has no toggle button labelled True or False,
    because the user has no right to switch it or a language other than English. `domain` is known
    with `show=all`. `running` is whether the switch runs an enabled gateway (None if not shown),
    and `state` its registration. `cells` are all texts by their headings, if those are shown.
    """

    uuid: str
    name: str
    enabled: bool | None
    domain: str = ""
    running: bool | None = None
    state: str = ""
    cells: Mapping[str, str] = field(default_factory=dict)


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
    button_cells: list[int] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def listed(self, show_all: bool, headings: Sequence[str]) -> ListedRow:
        flags = [flag for text in self.buttons if (flag := _LABELS.get(text.lower())) is not None]
        running, state = self._running()
        return ListedRow(
            uuid=self.uuid.lower(),
            name=self.name,
            enabled=flags[0] if flags else None,
            domain=self.cells[1] if show_all and len(self.cells) > 1 else "",
            running=running,
            state=state,
            cells=self.by_heading(headings),
        )

    def _running(self) -> tuple[bool | None, str]:
        for text, cell in zip(self.buttons, self.button_cells, strict=True):
            if (running := _RUNS.get(text.lower())) is not None:
                return running, "".join(self.cells[cell + 1 : cell + 2])
        return None, ""

    def by_heading(self, headings: Sequence[str]) -> dict[str, str]:
        """The cells by their headings in lower case; empty if their numbers do not match.

        A row may have one cell more than there are headings: its edit button.
        """
        if not len(headings) <= len(self.cells) <= len(headings) + 1:
            return {}
        return {name.lower(): cell for name, cell in zip(headings, self.cells) if name}  # noqa: B905


class _Reader(HTMLParser):
    """Collects hidden inputs, and the uuid, name, buttons and cells of each `list-row`."""

    def __init__(self, kind: str) -> None:
        super().__init__(convert_charrefs=True)
        self._uuid_input = re.compile(rf"{kind}\[\d+\]\[uuid\]")
        self.rows: list[_Row] = []
        self.inputs: list[tuple[str, str]] = []
        self.has_list = False
        self.has_password = False
        self.has_other_form = False
        self.gateway: str | None = None
        self.headings: list[str] = []
        self._heading = False
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
        elif tag == "tr":
            self._begin_row(given.get("class", "").split())
        elif self._heading and tag in ("th", "td"):
            self.headings.append("")
        elif self._row is not None:
            self._inside(tag, given)

    def _begin_row(self, classes: Sequence[str]) -> None:
        if "list-header" in classes and not self.headings:
            self._heading = True
        elif "list-row" in classes:
            self._row = _Row()
            self.rows.append(self._row)

    def _input(self, given: dict[str, str]) -> None:
        name, value = given.get("name", ""), given.get("value", "")
        self.has_password = self.has_password or given.get("type") == "password"
        self.has_other_form = self.has_other_form or name in _OTHER_FORMS
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
            self._row.button_cells.append(len(self._row.cells) - 1)

    def parse_html_declaration(self, i: int) -> int:
        """Skip every `<![`, as browsers do; the base class fails with AssertionError at some."""
        if self.rawdata.startswith("<![", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._row, self._heading = None, False
        if tag in ("a", "td", "tr"):
            self._naming = False
        if tag in ("button", "td", "tr"):
            self._pressing = False

    def handle_data(self, data: str) -> None:
        row, text = self._row, data.strip()
        if self._heading and self.headings and text:
            self.headings[-1] += text
        if row is None or not text:
            return
        if row.cells:
            row.cells[-1] += text
        if self._naming:
            row.name += text
        if self._pressing:
            row.buttons[-1] += text


def readable_html(html: str) -> str:
    """The part of a page that can be read, in time that grows with its length alone.

    References to no character are replaced, so that the text can be unescaped. What follows the
    last `>` is cut off: it is no whole tag, and html.parser reads the rest again for each `<`.
    """
    return _ENDLESS_NUMBER.sub("�", html[: html.rfind(">") + 1])


def _read(html: str, kind: str) -> _Reader:
    reader = _Reader(kind)
    reader.feed(readable_html(html))
    reader.close()
    return reader


def _token(inputs: Iterable[tuple[str, str]]) -> Token | None:
    for name, value in inputs:
        if _HEX64.fullmatch(name) and _HEX64.fullmatch(value):
            return Token(name, value)
    return None


def read_list(html: str, kind: Kind, *, show_all: bool = False) -> ListPage | None:
    """A list page; None for any other page (`is_login_page` recognises the login page)."""
    reader = _read(html, kind)
    if not reader.has_list:
        return None
    rows = tuple(
        row.listed(show_all, reader.headings) for row in reader.rows if _UUID.fullmatch(row.uuid)
    )
    return ListPage(rows, _token(reader.inputs))


def find_token(html: str) -> Token | None:
    """The hidden input whose name and value are both 64 hexadecimal digits; None without one."""
    return _token(_read(html, "").inputs)


def is_login_page(html: str) -> bool:
    """Whether the page is the login form, which FusionPBX shows with status 200."""
    if "password" not in html.lower():  # saves parsing large pages
        return False
    reader = _read(html, "")
    return reader.has_password and not reader.has_list and not reader.has_other_form


def is_denied(html: str) -> bool:
    """Whether the user has no right to the page; FusionPBX shows this with status 200, too."""
    return html.strip().lower() == "access denied"


def is_lost(location: str) -> bool:
    """Whether a redirect leads to the login: FusionPBX did not accept the session or the key."""
    path, _, query = location.partition("?")
    return path.endswith(("login.php", "logout.php")) or "path=" in query


@dataclass(frozen=True)
class PageRow:
    """A row of any list page: the texts of its cells, and the targets of its links and buttons.

    `uuid` is the row's id if its list has the requested kind, else empty.
    """

    cells: tuple[str, ...]
    links: tuple[str, ...]
    uuid: str = ""
    named: Mapping[str, str] = field(default_factory=dict)


def rows_of(html: str, kind: str = "") -> tuple[PageRow, ...]:
    """The rows of all lists on a page; `named` has the cells by the first list's headings."""
    reader = _read(html, kind)
    return tuple(
        PageRow(tuple(r.cells), tuple(r.links), r.uuid.lower(), r.by_heading(reader.headings))
        for r in reader.rows
    )


def headings_of(html: str) -> tuple[str, ...]:
    """The headings of the first list on a page, in lower case."""
    return tuple(heading.lower() for heading in _read(html, "").headings)


def gateway_name(html: str) -> str | None:
    """The name in the form that edits a gateway; empty for a new one, None on other pages."""
    return _read(html, "").gateway
