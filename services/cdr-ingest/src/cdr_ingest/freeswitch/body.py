"""Unwraps the bodies that FreeSWITCH's modules post, and reads JSON records: pure.

What mod_json_cdr, mod_xml_cdr and mod_format_cdr send, by their setting `encode`:

| encode | Content-Type | body |
|---|---|---|
| false (JSON), appljson | application/json | the document |
| textxml | text/xml | the document |
| false (XML) | application/x-www-form-plaintext | `cdr=` and the document |
| true | application/x-www-form-urlencoded | `cdr=` and the document, URL-encoded |
| base64 | application/x-www-form-base64-encoded | `cdr=` and base64, not URL-encoded |

With `disable-100-continue` the modules lose their header, and curl sends its default, the
urlencoded type, for every body. So the type is only checked to be one of these; the form of a body
is recognised from its content.

`encode=true` has a flaw in mod_json_cdr: text that looks URL-encoded is not encoded again. A quote
in a value, which `encode-values` turned into `%22`, arrives as a bare quote.

- If it can be distinguished from the quotes that end a value, it is escaped; else the document is
  refused.
- A remote party that controls a value (a telephone its User-Agent, for example) can end the value
  and add a variable. So such documents are refused if they contain one of the rare variables that
  change what is billed.

docs/push.md tells operators to set `encode` to false.
"""

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_plus

from cdr_ingest.freeswitch.record import Cdr
from ringfence_contracts.errors import BadInput

CONTENT_TYPES = frozenset(
    {
        *("application/json", "text/xml", "application/xml"),
        "application/x-www-form-urlencoded",
        "application/x-www-form-base64-encoded",
        "application/x-www-form-plaintext",
    }
)
MAX_NAMES = 20_000
"""The most names in one object of a record: a channel has a few hundred variables."""

_FORM = "cdr="
_QUOTE = re.compile(r'\\.|"', re.DOTALL)
_ENDS = re.compile(r""",["{\[]|:["{\[\d\-tfn]|[}\]]|\Z""")
_FORGEABLE = frozenset({"cc_side", "provider_prefix", "sip_h_caller_destination"})
_RAW = re.compile(r"""[\r\n "#&+:;<=>?@\[\\\]^`{|}]|[^\x20-\x7e]""")
"""Characters that FreeSWITCH encodes. Every channel has values with them: start_stamp is one."""


class Document(NamedTuple):
    """A document, and whether it was URL-encoded as a whole."""

    text: str
    url_encoded: bool = False


def unwrap(content_type: str, body: bytes) -> Document:
    """The document in a body, without its encoding. Raises BadInput.

    Bytes that are not UTF-8 become U+FFFD, which is refused in fields that a charge depends on.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in CONTENT_TYPES:
        raise BadInput("Content-Type", media_type, f"one of {', '.join(sorted(CONTENT_TYPES))}")
    text = body.decode("utf-8", "replace").strip()
    if not text.startswith(_FORM):
        return Document(text)
    value = text[len(_FORM) :]
    if value.startswith(("{", "<")):
        return Document(value)
    if value.startswith("%"):
        return Document(unquote_plus(value), url_encoded=True)
    return Document(_unwrap_base64(value))


def _unwrap_base64(value: str) -> str:
    packed = re.sub(r"\s", "", unquote(value))
    try:
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        expected = "cdr= and a document: as it is, URL-encoded or in base64"
        raise BadInput("body", _size(value), expected) from None
    return raw.decode("utf-8", "replace")


def still_encoded(values: Iterable[object]) -> bool:
    """Whether the values of variables are still URL-encoded.

    A record does not contain the setting `encode-values`. But an encoded value contains none of the
    characters that FreeSWITCH encodes, and some values of every channel do.
    """
    return not _RAW.search("%".join(value for value in values if isinstance(value, str)))


class _Object(dict[str, Any]):
    """A JSON object that records which of its names occur more than once."""

    __slots__ = ("repeated",)
    repeated: frozenset[str]


def read_json(document: Document) -> Cdr:
    """The record in a JSON document. Raises BadInput."""
    text = document.text
    root = _loads(text, repair=document.url_encoded)
    if not isinstance(root, _Object):
        raise BadInput("body", _size(text), "a JSON object with the variables of a call")
    if repeated := root.repeated & {"variables", "callflow"}:
        raise BadInput(min(repeated), "more than one value", "one")
    variables = root.get("variables")
    if not isinstance(variables, _Object):
        raise BadInput("variables", type(variables).__name__, "an object")
    if document.url_encoded and (forged := variables.keys() & _FORGEABLE):
        raise BadInput(min(forged), "URL-encoded", "a record posted with encode set to false")
    profile = _first_profile(root.get("callflow"))
    return Cdr(
        variables=variables,
        profile=profile,
        has_originator="originator" in profile,
        encoded=still_encoded(variables.values()),
        repeated=variables.repeated,
    )


def _first_profile(callflow: object) -> dict[str, object]:
    first = callflow[0] if isinstance(callflow, list) and callflow else callflow
    profile = first.get("caller_profile") if isinstance(first, _Object) else None
    if not isinstance(profile, _Object):
        raise BadInput("callflow", type(callflow).__name__, "a list with a caller_profile")
    if profile.repeated:
        raise BadInput(f"caller_profile.{min(profile.repeated)}", "more than one value", "one")
    return profile


def _loads(text: str, *, repair: bool) -> object:
    try:
        # Not strict: a document that was URL-encoded has the raw newlines of a session description.
        return json.loads(text, strict=False, object_pairs_hook=_object)
    except BadInput:
        raise
    except (ValueError, RecursionError) as error:
        if repair and isinstance(error, json.JSONDecodeError):
            return _loads(_repaired(text), repair=False)
        reason = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        expected = f"a JSON document ({reason}); see encode in docs/push.md"
        raise BadInput("body", _size(text), expected) from None


def _repaired(text: str) -> str:
    """Escape the quotes within values: those that no JSON syntax follows."""
    parts: list[str] = []
    inside, copied = False, 0
    for found in _QUOTE.finditer(text):
        if found[0] != '"':
            continue
        if inside and not _ENDS.match(text, found.end()):
            parts += (text[copied : found.start()], "\\")
            copied = found.start()
        else:
            inside = not inside
    return "".join((*parts, text[copied:]))


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    if len(pairs) > MAX_NAMES:
        raise BadInput("body", f"{len(pairs)} names in an object", f"at most {MAX_NAMES}")
    made = _Object(pairs)
    made.repeated = frozenset()
    if len(made) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        made.repeated = frozenset(name for name, count in counts.items() if count > 1)
    return made


def _size(text: str) -> str:
    """The length of a body. Its content is not shown: it contains people's telephone numbers."""
    return f"{len(text)} characters"
