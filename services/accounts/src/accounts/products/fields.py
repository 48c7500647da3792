"""Parses the text fields of a product, in the formats that operators type, into a service.

Lists are separated by ` | `. Every field is parsed before any is used, so that a malformed field
is never half applied. Sources of the formats: domain/billing, section 1.

Pure: without clock, socket, database or logger.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from accounts.refusals import Refusals, SeveralRefused
from accounts.typed.decimal_text import canonical_decimal
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Service
from ringfence_contracts.extension_ranges import MAX_NUMBERS, ends_of

T = TypeVar("T")

LABELS: dict[str, str] = {
    "domain_tenant_and_main_dids": "Domain/Tenant and main DID(s)",
    "extensions": "Extensions",
    "suspend_by": "Suspend by",
    "gateway_ids": "Gateway ID(s)",
    "tenant_and_inbound_dids": "Tenant and inbound DID(s)",
    "did_or_extension": "DID or extension",
    "ext_profile_first_name": "Ext Profile First Name",
    "inbound_search_string": "Inbound Search String",
    "trunk_ids": "Trunk ID(s)",
    "domain": "Domain",
    "username": "Username",
    "peer_id": "Peer ID",
    "dids_attached_to_peer": "DID(s) Attached to Peer",
    "cdr_link": "CDR Link",
    "free_minutes": "Free Minutes",
    "rate_per_minute": "Rate Per Minute",
}
"""JSON name of a field → its label, as operators know it."""

MAX_ITEMS = 500
MAX_RANGES = 20
MAX_FREE_MINUTES = 1_000_000

TENANT_DIDS = "a domain name, then its DIDs, such as mcon.wat5.ictvoip.ca | 5192229000"
EXTENSIONS = (
    "extensions or ranges of them, such as 2112 | 2113 | 2200-2249; blank or * for all that no "
    "other product of the tenant has"
)
RANGE = (
    f"a range from a lower to a higher extension of as many digits, of at most {MAX_NUMBERS}, such "
    "as 2200-2249"
)
VODIA_TENANT = "a tenant, then DIDs or extensions, such as cffm.wat1.ictvoip.ca | 5484815577 | 8300"
LESNET_DOMAIN = "a peer id of 13 hex digits and its DID, such as D4E3CD2BFC791 | 12046664021"
DID = "a DID in digits, such as 12046664021"
GATEWAYS = "gateway UUIDs, such as 7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11, separated by |"
TRUNKS = "the PBX's trunk ids, such as 3 | 7; a trunk that tenants share is never switched"

_NO_ITEMS: tuple[str, ...] = ()


class TypedExtensions(NamedTuple):
    """What a list of extensions holds: single ones, ranges, and the rest of the tenant."""

    listed: tuple[str, ...]
    ranges: tuple[str, ...]
    rest: bool


_NO_EXTENSIONS = TypedExtensions((), (), False)

REST = "*"
"""As an extension: the rest of the tenant."""

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}$)(?=.*[A-Za-z.]){_LABEL}(\.{_LABEL})*", re.ASCII)
_DID = re.compile(r"\d{7,15}", re.ASCII)
_EXTENSION = re.compile(r"\d{2,6}", re.ASCII)
_RANGE = re.compile(r"(\d+) ?- ?(\d+)", re.ASCII)
_VODIA_EXTENSION = re.compile(r"\d{3,5}", re.ASCII)
_TRUNK = re.compile(r"[0-9]{1,10}", re.ASCII)
_PEER = re.compile(r"[0-9A-Fa-f]{13}", re.ASCII)
_LINK = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?/[\x21-\x7e]*", re.ASCII)
_MINUTES = re.compile(r"\d{1,7}", re.ASCII)


class FieldRefused(BadInput):
    """A product field is malformed. `name` is its JSON name, `field` its label."""

    def __init__(self, name: str, value: str, expected: str) -> None:
        self.name = name
        super().__init__(LABELS.get(name, name), value, expected)


@dataclass(frozen=True)
class ProductFields:
    """The parsed fields of a product: parts of a Service, and its own free minutes."""

    parts: Mapping[str, Any]
    free_minutes: int = 0

    def service(self, *, service_id: str, name: str, server_id: str, prepaid: bool) -> Service:
        """The service that these fields describe; its package is added when it is published."""
        return Service(
            service_id=service_id, name=name, server_id=server_id, prepaid=prepaid, **self.parts
        )


def read_product(kind: str, fields: Mapping[str, str]) -> ProductFields:
    """Parse all fields of a product of `kind`; a missing field counts as blank.

    Raises FieldRefused, with label, value and expected format, for a malformed field and for a
    field that this kind does not have; SeveralRefused for more than one.
    """
    reader, known = _KINDS[kind]
    problems = Refusals()
    for name, value in fields.items():
        if name not in known:
            expected = f"no such field in a {kind} product"
            problems.found.append(FieldRefused(name, value, expected))
    found = reader({name: fields.get(name, "") for name in known}, problems.read)
    problems.check()
    return found


def field_problems(kind: str, fields: Mapping[str, str]) -> Sequence[BadInput]:
    """What `read_product` refuses; empty if nothing."""
    try:
        read_product(kind, fields)
    except SeveralRefused as refused:
        return refused.errors
    except BadInput as refused:
        return (refused,)
    return ()


def split_list(name: str, text: str, expected: str) -> tuple[str, ...]:
    """The items of a ` | ` list, stripped, without empty and duplicate ones."""
    found = tuple(dict.fromkeys(item for part in text.split("|") if (item := part.strip())))
    if not found:
        raise FieldRefused(name, text, expected)
    if len(found) > MAX_ITEMS:
        raise FieldRefused(name, text, f"at most {MAX_ITEMS} items")
    return found


def _all_match(name: str, text: str, pattern: re.Pattern[str], expected: str) -> tuple[str, ...]:
    found = split_list(name, text, expected)
    if not all(pattern.fullmatch(item) for item in found):
        raise FieldRefused(name, text, expected)
    return found


class _Read(Protocol):
    """Calls a reader; collects what it refuses, and returns `default` instead."""

    def __call__(self, reader: Callable[[], T], default: T) -> T: ...


def _fusionpbx(fields: Mapping[str, str], read: _Read) -> ProductFields:
    tenant, dids = read(partial(_domain_and_dids, fields), ("", _NO_ITEMS))
    levels = ("extensions", "outbound", "gateway", "domain")
    way = read(partial(_suspend_by, fields["suspend_by"], levels), "")
    extensions, ranges, rest = read(partial(_extensions, fields["extensions"]), _NO_EXTENSIONS)
    gateways = read(partial(_gateway_ids, fields["gateway_ids"], way), _NO_ITEMS)
    return ProductFields(
        {
            "kind": "fusionpbx",
            "tenant": tenant.lower(),
            "dids": dids,
            "extensions": extensions,
            "extension_ranges": ranges,
            "rest_of_tenant": rest,
            "suspend_by": "extensions" if way == "outbound" else way,
            "outbound_only": way == "outbound",
            "gateway_ids": gateways,
        }
    )


def _domain_and_dids(fields: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    name = "domain_tenant_and_main_dids"
    tenant, *dids = split_list(name, fields[name], TENANT_DIDS)
    if not (_DOMAIN.fullmatch(tenant) and dids and all(map(_DID.fullmatch, dids))):
        raise FieldRefused(name, fields[name], TENANT_DIDS)
    return tenant, tuple(dids)


def _extensions(text: str) -> TypedExtensions:
    """What a list of extensions holds. A blank one is the whole tenant's."""
    if not text.strip():
        return TypedExtensions((), (), True)
    listed = split_list("extensions", text, EXTENSIONS)
    ranges = [_range("extensions", item) for item in listed if _RANGE.fullmatch(item)]
    plain = [item for item in listed if item != REST and not _RANGE.fullmatch(item)]
    if not all(_EXTENSION.fullmatch(item) for item in plain):
        raise FieldRefused("extensions", text, EXTENSIONS)
    if len(ranges) > MAX_RANGES:
        raise FieldRefused("extensions", text, f"at most {MAX_RANGES} ranges")
    return TypedExtensions(tuple(plain), tuple(dict.fromkeys(ranges)), REST in listed)


def _range(name: str, item: str) -> str:
    written = "-".join(part.strip() for part in item.split("-"))
    if ends_of(written) is None:
        raise FieldRefused(name, item, RANGE)
    return written


def _suspend_by(text: str, allowed: tuple[str, ...]) -> str:
    level = text.strip().lower() or allowed[0]
    if level not in allowed:
        raise FieldRefused("suspend_by", text, f"one of {', '.join(allowed)}")
    return level


def _gateway_ids(text: str, suspend_by: str) -> tuple[str, ...]:
    if not text.strip() and suspend_by != "gateway":
        return ()
    found = split_list("gateway_ids", text, GATEWAYS)
    try:
        canonical = tuple(str(UUID(item)) for item in found)
    except ValueError:
        raise FieldRefused("gateway_ids", text, GATEWAYS) from None
    if canonical != tuple(item.lower() for item in found):
        raise FieldRefused("gateway_ids", text, GATEWAYS)
    return canonical


def _vodia(fields: Mapping[str, str], read: _Read) -> ProductFields:
    tenant, numbers = read(partial(_vodia_tenant, fields), ("", _NO_ITEMS))
    billed, ranges, rest = read(partial(_vodia_billed, fields["did_or_extension"]), _NO_EXTENSIONS)
    everything = tuple(dict.fromkeys((*numbers, *billed)))
    suspend_by = read(partial(_suspend_by, fields["suspend_by"], ("extensions", "gateway")), "")
    first_name = fields["ext_profile_first_name"]
    return ProductFields(
        {
            "kind": "vodia",
            "tenant": tenant.lower(),
            "dids": tuple(n for n in everything if not _VODIA_EXTENSION.fullmatch(n)),
            "extensions": tuple(n for n in everything if _VODIA_EXTENSION.fullmatch(n)),
            "extension_ranges": ranges,
            "rest_of_tenant": rest,
            "display_name": read(partial(_one_line, "ext_profile_first_name", first_name), ""),
            "inbound_search": read(
                partial(_search_words, fields["inbound_search_string"]), _NO_ITEMS
            ),
            "suspend_by": suspend_by,
            "gateway_ids": read(partial(_trunk_ids, fields["trunk_ids"], suspend_by), _NO_ITEMS),
        }
    )


def _vodia_tenant(fields: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    name = "tenant_and_inbound_dids"
    tenant, *numbers = split_list(name, fields[name], VODIA_TENANT)
    if not (_DOMAIN.fullmatch(tenant) and numbers and all(map(_did_or_extension, numbers))):
        raise FieldRefused(name, fields[name], VODIA_TENANT)
    return tenant, tuple(numbers)


def _vodia_billed(text: str) -> TypedExtensions:
    """One DID or extension, one range, or the rest of the tenant."""
    billed = text.strip()
    if billed in ("", REST):
        return TypedExtensions((), (), True)
    if _RANGE.fullmatch(billed):
        return TypedExtensions((), (_range("did_or_extension", billed),), False)
    if not _did_or_extension(billed):
        expected = (
            "one DID, one extension of 3 to 5 digits, such as 8300, or a range, such as 8300-8349;"
            " blank or * for all that no other product of the tenant has"
        )
        raise FieldRefused("did_or_extension", text, expected)
    return TypedExtensions((billed,), (), False)


def _trunk_ids(text: str, suspend_by: str) -> tuple[str, ...]:
    if not text.strip() and suspend_by != "gateway":
        return ()
    return _all_match("trunk_ids", text, _TRUNK, TRUNKS)


def _did_or_extension(text: str) -> bool:
    return bool(_VODIA_EXTENSION.fullmatch(text) or _DID.fullmatch(text))


def _one_line(name: str, text: str) -> str:
    line = text.strip()
    if len(line) > 200 or not line.isprintable():
        raise FieldRefused(name, text, "one line of text, at most 200 characters")
    return line


def _search_words(text: str) -> tuple[str, ...]:
    """The words of a comma list. A single character would match nearly every inbound call."""
    expected = "words of two or more characters, such as cffm, 8300, Kitchener"
    line = text.strip()
    words = tuple(dict.fromkeys(word for part in line.split(",") if (word := part.strip())))
    fine = line.isprintable() and all(2 <= len(word) <= 200 for word in words)
    if not fine or len(words) > MAX_ITEMS or (line and not words):
        raise FieldRefused("inbound_search_string", text, expected)
    return words


def _lesnet(fields: Mapping[str, str], read: _Read) -> ProductFields:
    peer, did = read(partial(_peer_and_did, fields["domain"]), ("", ""))
    dids: tuple[str, ...] = ()
    if did:  # The other fields repeat what Domain says: without it they cannot be judged.
        same = f"{DID}: the same as in Domain, {did}"
        read(partial(_agrees, "username", fields["username"], did, same), None)
        of_domain = f"the peer id of Domain, {peer}"
        read(partial(_agrees, "peer_id", fields["peer_id"].upper(), peer, of_domain), None)
        dids = read(partial(_attached, fields["dids_attached_to_peer"], did), _NO_ITEMS)
    parts = {
        "kind": "lesnet",
        "tenant": peer,
        "dids": dids,
        "cdr_link": read(partial(_cdr_link, fields["cdr_link"]), ""),
        "flat_rate": read(partial(_flat_rate, fields["rate_per_minute"]), None),
    }
    minutes = read(partial(_free_minutes, fields["free_minutes"]), 0)
    return ProductFields(parts, free_minutes=minutes)


def _peer_and_did(text: str) -> tuple[str, str]:
    found = split_list("domain", text, LESNET_DOMAIN)
    if len(found) != 2 or not (_PEER.fullmatch(found[0]) and _DID.fullmatch(found[1])):
        raise FieldRefused("domain", text, LESNET_DOMAIN)
    return found[0].upper(), found[1]


def _attached(text: str, did: str) -> tuple[str, ...]:
    dids = _all_match("dids_attached_to_peer", text or did, _DID, DID)
    if did not in dids:
        raise FieldRefused("dids_attached_to_peer", text, f"a list that has {did}, as Domain")
    return dids


def _agrees(name: str, text: str, wanted: str, expected: str) -> None:
    """A field that repeats another may be blank; otherwise it must equal the other."""
    if text.strip() not in ("", wanted):
        raise FieldRefused(name, text, expected)


def _cdr_link(text: str) -> str:
    link = text.strip()
    if link and (len(link) > 1000 or not _LINK.fullmatch(link)):
        expected = "a link such as https://portal.les.net/cdr/11330_0000.txt"
        raise FieldRefused("cdr_link", text, expected)
    return link


def _flat_rate(text: str) -> str | None:
    if not text.strip():
        return None
    rate = canonical_decimal(text)
    if rate is None:
        raise FieldRefused("rate_per_minute", text, "a rate per minute such as .03 or 0.0125")
    return rate


def _free_minutes(text: str) -> int:
    minutes = text.strip() or "0"
    if not _MINUTES.fullmatch(minutes) or int(minutes) > MAX_FREE_MINUTES:
        expected = f"whole minutes from 0 to {MAX_FREE_MINUTES}"
        raise FieldRefused("free_minutes", text, expected)
    return int(minutes)


_Reader = Callable[[Mapping[str, str], _Read], ProductFields]
_KINDS: dict[str, tuple[_Reader, tuple[str, ...]]] = {
    "fusionpbx": (
        _fusionpbx,
        ("domain_tenant_and_main_dids", "extensions", "suspend_by", "gateway_ids"),
    ),
    "vodia": (
        _vodia,
        (
            "tenant_and_inbound_dids",
            "did_or_extension",
            "ext_profile_first_name",
            "inbound_search_string",
            "suspend_by",
            "trunk_ids",
        ),
    ),
    "lesnet": (
        _lesnet,
        (
            "domain",
            "username",
            "peer_id",
            "dids_attached_to_peer",
            "cdr_link",
            "free_minutes",
            "rate_per_minute",
        ),
    ),
}
