"""Parses the caller and the called party from a SIP header as Vodia writes it: pure."""

import re
from typing import NamedTuple
from urllib.parse import unquote

from cdr_ingest.sources.fields import free_text

_QUOTED = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*(.*)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SCHEME = re.compile(r"(sips?|tel):", re.IGNORECASE)


class Party(NamedTuple):
    """One side of a call: display name, number (or user name) and host; each may be empty."""

    name: str
    number: str
    host: str


def read_party(header: str) -> Party:
    """The party in `"Name" <sip:num@host>`; quotes, name, brackets and scheme may be missing.

    It also reads `tel:`, URI parameters, a password, a port, and percent escapes in the user part.
    The name is cut to the length that an event can hold; the number is not changed.
    """
    before, bracket, uri = header.rpartition("<")
    if bracket:
        name, uri = _name(before), uri.split(">")[0]
    elif quoted := _QUOTED.match(header):
        name, uri = _name(f'"{quoted[1]}"'), quoted[2]
    else:
        name, uri = "", header
    return Party(free_text(name), *_read_uri(uri.strip()))


def _name(written: str) -> str:
    quoted = _QUOTED.fullmatch(written)
    return _ESCAPED.sub(r"\1", quoted[1]).strip() if quoted else written.strip()


def _read_uri(uri: str) -> tuple[str, str]:
    """The user part without its parameters and password, and the host."""
    scheme = _SCHEME.match(uri)
    rest = uri[scheme.end() :] if scheme else uri
    user, at, host = rest.partition("@")
    if not at and scheme and scheme[1].lower() != "tel":
        user, host = "", rest
    number = unquote(re.split("[;:?]", user)[0]).strip()
    return number, re.split("[;:?]", host)[0].strip().lower()
