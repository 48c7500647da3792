"""The bodies in which FreeSWITCH's modules post a record, and the record in a JSON one: pure.

What mod_json_cdr, mod_xml_cdr and mod_format_cdr send, by their setting `encode`:

| encode | Content-Type | body |
|---|---|---|
| false (JSON), appljson | application/json | the document |
| textxml | text/xml | the document |
| false (XML) | application/x-www-form-plaintext | `cdr=` and the document |
| true | application/x-www-form-urlencoded | `cdr=` and the document, URL-encoded |
| base64 | application/x-www-form-base64-encoded | `cdr=` and base64, not URL-encoded |

With `disable-100-continue` they lose the header and curl's own, the urlencoded one, stands there
whatever the body is. So the type only says that a body is meant for us; what it is shows in itself.

`encode=true` has a flaw in mod_json_cdr: what looks URL-encoded already is passed through. A quote
in a value, which `encode-values` made `%22`, comes out as a bare quote. Where it can be told from
the quotes that end a value, it is mended; else the document is refused. And whoever sets a value,
a telephone's User-Agent for one, can end it and begin a variable of his own: of such documents,
variables that change what is billed and are seldom there are refused. docs/push.md says to set
`encode` to false.
"""

import base64
import binascii
import json
import re
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
_FORM = "cdr="
_QUOTE = re.compile(r'\\.|"', re.DOTALL)
_ENDS = re.compile(r""",["{\[]|:["{\[\d\-tfn]|[}\]]|\Z""")
_DOUBTFUL = frozenset({"cc_side", "provider_prefix", "sip_h_caller_destination"})
_RAW = re.compile(r"""[\r\n "#&+:;<=>?@\[\\\]^`{|}]|[^\x20-\x7e]""")
"""What FreeSWITCH would have encoded. Every channel has such values: its start_stamp is one."""


class Document(NamedTuple):
    """A document, and whether it had been URL-encoded as a whole."""

    text: str
    url_encoded: bool = False


def unwrap(content_type: str, body: bytes) -> Document:
    """The document in a body, freed of what it was wrapped in. Raises BadInput.

    Bytes that are not UTF-8 become U+FFFD, which no field that is billed by may hold.
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

    The setting `encode-values` is not part of a record. But no value that FreeSWITCH encoded holds
    what it encodes, and a channel has many values of which some need it.
    """
    return not _RAW.search("%".join(value for value in values if isinstance(value, str)))


class _Object(dict[str, Any]):
    """A JSON object that knows which of its names were given more than once."""

    __slots__ = ("repeated",)
    repeated: frozenset[str]


def read_json(document: Document) -> Cdr:
    """The record in a JSON document. Raises BadInput."""
    text = document.text
    root = _loads(text, mended=document.url_encoded)
    if not isinstance(root, _Object):
        raise BadInput("body", _size(text), "a JSON object with the variables of a call")
    if repeated := root.repeated & {"variables", "callflow"}:
        raise BadInput(min(repeated), "more than one value", "one")
    variables = root.get("variables")
    if not isinstance(variables, _Object):
        raise BadInput("variables", type(variables).__name__, "an object")
    if document.url_encoded and (doubtful := variables.keys() & _DOUBTFUL):
        raise BadInput(min(doubtful), "URL-encoded", "a record posted with encode set to false")
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


def _loads(text: str, *, mended: bool) -> object:
    try:
        # Line ends of a session description stand as they are in documents that were URL-encoded.
        return json.loads(text, strict=False, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        if mended and isinstance(error, json.JSONDecodeError):
            return _loads(_mend(text), mended=False)
        said = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        expected = f"a JSON document ({said}); see encode in docs/push.md"
        raise BadInput("body", _size(text), expected) from None


def _mend(text: str) -> str:
    """Escape the quotes that stand within values: those that nothing of JSON follows."""
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
    made = _Object(pairs)
    repeated: frozenset[str] = frozenset()
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = frozenset(name for name in made if names.count(name) > 1)
    made.repeated = repeated
    return made


def _size(text: str) -> str:
    """Bodies are not shown: they hold people's numbers, and may hold anything."""
    return f"{len(text)} characters"
