"""Who a call is from and to, out of a SIP header as Vodia writes it: pure."""

import re
from typing import NamedTuple
from urllib.parse import unquote

from ringfence.errors import BadInput

MAX_TEXT = 1000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HEADER = re.compile(
    r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"?|(?P<bare>[^<"]*))\s*(?:<(?P<uri>[^>]*)>?)?'
)
_ESCAPED = re.compile(r"\\(.)")
_SCHEME = re.compile(r"(sips?|tel):", re.IGNORECASE)


class Party(NamedTuple):
    """One side of a call: display name, number (or user name) and host; each may be empty."""

    name: str
    number: str
    host: str


def read_party(text: str, field: str) -> Party:
    """`"Name" <sip:num@host>`, and what is left of it when parts are missing.

    Also without quotes, name or brackets, with `tel:` or no scheme, URI parameters, a password,
    a port, and percent escapes in the user part. Raises BadInput, by the field, for more than
    1000 characters, and for control characters in a number.
    """
    if len(text) > MAX_TEXT:
        raise BadInput(field, text, f"at most {MAX_TEXT} characters")
    found = _HEADER.match(text)
    assert found is not None, "every part of the pattern may be empty"
    name, uri = found["quoted"], found["uri"]
    bare = (found["bare"] or "").strip()
    if uri is None and name is None:
        name, uri = "", bare
    elif name is None:
        name = bare
    number, host = _read_uri(uri or "")
    if _CONTROL.search(number):
        raise BadInput(field, text, "a number without control characters")
    return Party(_CONTROL.sub(" ", _ESCAPED.sub(r"\1", name)).strip(), number, host)


def _read_uri(uri: str) -> tuple[str, str]:
    scheme = _SCHEME.match(uri.strip())
    rest = uri.strip()[scheme.end() :] if scheme else uri.strip()
    user, at, host = rest.partition("@")
    if not at and scheme and scheme[1].lower() != "tel":
        user, host = "", rest
    number = unquote(user.split(";")[0].split(":")[0]).strip()
    return number, re.split(r"[;?:>]", host)[0].strip().lower()
