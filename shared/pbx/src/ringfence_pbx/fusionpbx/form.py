"""Reads a form of FusionPBX's pages as a browser does, so that it can be sent back completely.

Saving a form stores all of its fields, and empties a field that the post lacks. So every field is
sent as it was shown, including fields that ringfence does not know.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

from ringfence_pbx.fusionpbx.pages import readable_html

_HEX64 = re.compile(r"[0-9a-fA-F]{64}")
_NOT_SENT = frozenset({"button", "submit", "image", "reset", "file"})
MAX_FIELDS = 900
"""By default, PHP reads 1,000 fields of a post and drops the rest."""


@dataclass
class FormField:
    """A field of a form.

    `options` are those of a select. Its `value` is the selected option's; without a selected option
    it is the first option's, as in a browser, and `chosen` is false.
    """

    name: str
    kind: str
    value: str = ""
    options: list[str] = field(default_factory=list)
    chosen: bool = True
    multiple: bool = False
    picked: list[str] = field(default_factory=list)

    @property
    def is_select(self) -> bool:
        """Whether it is a list to choose from."""
        return self.kind == "select"


@dataclass(frozen=True)
class PageForm:
    """The fields that a browser would send, in the page's order."""

    controls: tuple[FormField, ...]

    def find(self, name: str) -> FormField | None:
        """The field of that name."""
        return next((c for c in self.controls if c.name == name), None)

    def filled(self, changes: Mapping[str, str]) -> list[tuple[str, str]]:
        """All pairs to send; the fields of `changes` have their new values."""
        pairs: list[tuple[str, str]] = []
        for control in self.controls:
            if control.name in changes:
                pairs.append((control.name, changes[control.name]))
            elif control.multiple:
                pairs += [(control.name, value) for value in control.picked]
            else:
                pairs.append((control.name, control.value))
        return pairs

    @property
    def has_token(self) -> bool:
        """Whether the form has the hidden token; FusionPBX silently ignores a post without it."""
        return any(_HEX64.fullmatch(c.name) and _HEX64.fullmatch(c.value) for c in self.controls)


class _Reader(HTMLParser):
    """Collects the fields of all forms on a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[list[FormField]] = []
        self._form: list[FormField] | None = None
        self._select: FormField | None = None
        self._area: FormField | None = None
        self._option: str | None = None
        self._option_text = ""
        self._is_selected = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = []
            self.forms.append(self._form)
        elif tag == "option":
            self._begin_option(given)
        elif self._form is not None and tag in ("input", "select", "textarea"):
            self._begin_field(self._form, tag, given)

    def _begin_field(self, form: list[FormField], tag: str, given: dict[str, str]) -> None:
        name, kind = given.get("name", ""), given.get("type", "text").lower()
        if tag == "select":
            self._select = FormField(name, "select", chosen=False, multiple="multiple" in given)
            control = self._select
        elif tag == "textarea":
            self._area = control = FormField(name, "textarea")
        else:
            control = FormField(name, kind, given.get("value", ""))
            if kind in ("checkbox", "radio"):
                control.value = given.get("value", "on")
                if "checked" not in given:
                    return
        if name and kind not in _NOT_SENT and "disabled" not in given:
            form.append(control)

    def _begin_option(self, given: dict[str, str]) -> None:
        self._end_option()
        self._option = given.get("value")
        self._option_text = ""
        self._is_selected = "selected" in given
        if self._select is not None and self._option is None:
            self._option = "\x00"  # without a value, the text is the value

    def _end_option(self) -> None:
        if self._select is None or self._option is None:
            return
        text = " ".join(self._option_text.split())
        value = text if self._option == "\x00" else self._option
        select = self._select
        if self._is_selected:
            select.picked.append(value)
            select.value, select.chosen = value, True
        elif not select.options and not select.chosen:
            select.value = value
        select.options.append(value)
        self._option = None

    def handle_endtag(self, tag: str) -> None:
        if tag in ("option", "select"):
            self._end_option()
        if tag == "select":
            self._select = None
        elif tag == "textarea":
            self._area = None
        elif tag == "form":
            self._form = self._select = self._area = None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area.value += data
        elif self._select is not None and self._option is not None:
            self._option_text += data

    def parse_html_declaration(self, i: int) -> int:
        """Skip every `<![`, as browsers do; the base class fails with AssertionError at some."""
        if self.rawdata.startswith("<![", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)


def read_form(html: str, having: str) -> PageForm | None:
    """The form with a field named `having`; None if the page has no such form."""
    reader = _Reader()
    reader.feed(readable_html(html))
    reader.close()
    for controls in reader.forms:
        if any(control.name == having for control in controls):
            for control in controls:
                if control.kind == "textarea":
                    control.value = control.value.removeprefix("\r\n").removeprefix("\n")
            return PageForm(tuple(controls))
    return None
