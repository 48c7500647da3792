"""Finds the product that a call belongs to, or why there is none.

A product claims what domain/billing, section 1 lists for its kind. Claims are keys of dictionaries,
so the time of a match does not depend on the number of products. The first lookup that finds a
claim decides. A call that two products claim by the same key is ambiguous and is matched to
neither, until a person changes one of them:

| product | outbound | inbound |
|---|---|---|
| FusionPBX | the extension that called | the DID dialled, then the extension that took it |
| Vodia | extension, number or display name that called | DID, extension, then search strings |
| Les.net | the DID that called, then the peer | the DID dialled, then the peer |

A local call, and one without direction, belongs to its caller, else to its receiver. Clients pay
for extensions, so an extension that no product lists matches no product, even where the tenant has
only one. A product may have ranges of extensions, and a product that lists no extension, or has
`rest_of_tenant`, gets the rest of its tenant's calls. What a product lists beats another's range,
and a range beats the rest. If the PBX recorded an `extension`, it decides alone, because
callers can set caller and source number.

A leg that left by a carrier on behalf of another call belongs to the extension that caused it, then
to the DID that was called.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from rating.pricing.package_terms import PackageTerms, package_terms
from ringfence.numbers.dids import did_keys
from ringfence.numbers.written import did_key
from ringfence_contracts.errors import shown
from ringfence_contracts.events.account import AccountChanged, Service
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.extension_ranges import numbers_of

_Claim = tuple[str, str]
"""A claim within a tenant: `extension`, `did`, `name`, `range` (an extension of one), `search` or
`rest`, and its text."""

_REST = ("rest", "")


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """The product that a call belongs to, with its terms.

    `tenant_claims` are those of all products of its tenant, by claim.
    """

    account_id: str
    currency: str
    time_zone: str
    service_id: str
    service: Service
    terms: PackageTerms
    tenant_claims: Mapping[_Claim, object] = field(default_factory=dict, repr=False)

    def tenant_has_did(self, *numbers: str) -> bool:
        """Whether one of a number's forms is a DID of a product of this tenant."""
        return any(("did", did_key(number)) in self.tenant_claims for number in numbers)

    def tenant_has_extension(self, number: str) -> bool:
        """Whether a product of this tenant lists a number as an extension."""
        return any((kind, number) in self.tenant_claims for kind in ("extension", "range"))


class Ambiguous(NamedTuple):
    """Several products claim the call; `names` are theirs, with their accounts."""

    names: tuple[str, ...]

    @property
    def detail(self) -> str:
        """One line for the unrated queue, of bounded length."""
        named = " and ".join(name[:200] for name in self.names[:3])
        more = len(self.names) - 3
        return f"claimed by {named}" + (f" and {more} more" if more > 0 else "")


class NoMatch(NamedTuple):
    """No product claims the call; `detail` lists what was looked up."""

    detail: str


MatchResult = Match | Ambiguous | NoMatch


class _Tenant:
    """The claims on one tenant of one server."""

    __slots__ = ("claims", "ranges", "searches")

    def __init__(self) -> None:
        self.claims: dict[_Claim, tuple[Match, ...]] = {}
        self.ranges = 0
        self.searches: set[str] = set()

    def add(self, claim: _Claim, match: Match) -> None:
        self.claims[claim] = (*self.claims.get(claim, ()), match)
        if claim[0] == "search":
            self.searches.add(claim[1])
        elif claim[0] == "range":
            self.ranges += 1

    def remove(self, claim: _Claim, account_id: str) -> None:
        left = tuple(held for held in self.claims[claim] if held.account_id != account_id)
        if claim[0] == "range":
            self.ranges -= len(self.claims[claim]) - len(left)
        if left:
            self.claims[claim] = left
        else:
            del self.claims[claim]
            if claim[0] == "search":
                self.searches.discard(claim[1])


class ProductIndex:
    """All accounts' products by their claims."""

    __slots__ = ("_held", "_tenants")

    def __init__(self, accounts: Iterable[AccountChanged] = ()) -> None:
        self._tenants: dict[tuple[str, str], _Tenant] = {}
        self._held: dict[str, set[tuple[tuple[str, str], _Claim]]] = {}
        for account in accounts:
            self.replace(account)

    def replace(self, account: AccountChanged) -> None:
        """Replace an account's products."""
        self._drop(account.account_id)
        held = self._held.setdefault(account.account_id, set())
        for service in account.services:
            terms = package_terms(service.package, service.flat_rate)
            claims = tuple(dict.fromkeys(_claims(service, terms.numbers.country_code)))
            match = Match(
                account_id=account.account_id,
                currency=account.currency,
                time_zone=account.time_zone,
                service_id=service.service_id,
                service=service,
                terms=terms,
                tenant_claims=self._tenants.setdefault(_tenant_key(service), _Tenant()).claims,
            )
            for tenant_key, claim in claims:
                self._tenants.setdefault(tenant_key, _Tenant()).add(claim, match)
                held.add((tenant_key, claim))

    def match(self, call: CallCompleted) -> MatchResult:
        """The product of a call, by the rules of the module's docstring."""
        tenant = self._tenants.get((call.server_id, call.tenant))
        if tenant is None:
            tenant = self._tenant(call.server_id, call.tenant)
        if tenant is None:
            return NoMatch(f"no product on server {call.server_id} has tenant {shown(call.tenant)}")
        claims = tenant.claims
        for claim in _lookups(call):
            held = claims.get(claim)
            if held is not None:
                return held[0] if len(held) == 1 else _only(held)
        return _by_less_than_a_claim(tenant, call)

    def _tenant(self, server_id: str, written: str) -> _Tenant | None:
        """A tenant whose name is written in another form than in the products."""
        name = written.strip().casefold()
        tenant = self._tenants.get((server_id, name))
        if tenant is None and name.lstrip("+").isdigit():
            tenant = self._tenants.get((server_id, did_key(name)))
        return tenant

    def _drop(self, account_id: str) -> None:
        for tenant_key, claim in self._held.pop(account_id, ()):
            tenant = self._tenants[tenant_key]
            tenant.remove(claim, account_id)
            if not tenant.claims:
                del self._tenants[tenant_key]


def _tenant_key(service: Service) -> tuple[str, str]:
    return service.server_id, service.tenant.strip().casefold()


def _claims(service: Service, country_code: str) -> Iterator[tuple[tuple[str, str], _Claim]]:
    """A product's claims by the rules of its kind; `country_code` is where its PBX is."""
    tenant_key = _tenant_key(service)
    if service.kind == "lesnet":
        yield from _lesnet_claims(service, tenant_key)
        return
    list_claims = _vodia_listed if service.kind == "vodia" else _fusionpbx_listed
    named = [claim for claim in list_claims(service, country_code) if claim[1]]
    yield from ((tenant_key, claim) for claim in named)
    for text in service.extension_ranges:
        yield from ((tenant_key, ("range", number)) for number in numbers_of(text))
    has_extensions = service.extensions or service.extension_ranges
    lists_dids_alone = not has_extensions and all(kind == "did" for kind, _ in named)
    if service.rest_of_tenant or lists_dids_alone:
        yield tenant_key, _REST


def _fusionpbx_listed(service: Service, country_code: str) -> Iterator[_Claim]:
    for did in service.dids:
        yield from (("did", key) for key in did_keys(did, country_code))
    yield from (("extension", extension.strip()) for extension in service.extensions)


def _vodia_listed(service: Service, country_code: str) -> Iterator[_Claim]:
    """Vodia's lists hold DIDs and extensions alike; three to five digits are an extension."""
    for item in (*service.dids, *service.extensions):
        if 3 <= len(item.strip()) <= 5:
            yield "extension", item.strip()
        else:
            yield from (("did", key) for key in did_keys(item, country_code))
    yield "name", service.display_name.strip().casefold()
    yield from (("search", text.strip().casefold()) for text in service.inbound_search)


def _lesnet_claims(
    service: Service, peer_key: tuple[str, str]
) -> Iterator[tuple[tuple[str, str], _Claim]]:
    """A file may name its rows by the peer or by the DID, so both are tenants."""
    yield peer_key, _REST
    for did in filter(None, map(did_key, service.dids)):
        yield peer_key, ("did", did)
        yield (service.server_id, did), _REST


def _lookups(call: CallCompleted) -> Iterator[_Claim]:
    """The claims to look up, in the order of their precedence."""
    if call.leg_decision:
        yield from _causing(call)
        return
    if call.direction != "inbound":
        yield from _calling(call)
    if call.direction != "outbound":
        yield from _called(call)


def _causing(call: CallCompleted) -> Iterator[_Claim]:
    """Who caused a leg: the extension that forwarded, else the one that called, else the DID."""
    for extension in filter(None, (call.extension, call.source_number)):
        yield "extension", extension
    if call.caller_destination:
        yield "did", did_key(call.caller_destination)


def _calling(call: CallCompleted) -> Iterator[_Claim]:
    if call.extension:
        yield "extension", call.extension
    else:
        for number in filter(None, (call.caller_number, call.source_number)):
            yield "extension", number
    if not call.source.startswith(("fusionpbx", "freeswitch")):
        yield from _calling_outside_fusionpbx(call)


def _calling_outside_fusionpbx(call: CallCompleted) -> Iterator[_Claim]:
    for number in filter(None, (call.caller_number, call.source_number)):
        yield "did", did_key(number)
    if call.caller_name:
        yield "name", call.caller_name.strip().casefold()


def _called(call: CallCompleted) -> Iterator[_Claim]:
    for number in filter(None, (call.caller_destination, call.destination_number)):
        yield "did", did_key(number)
    for number in filter(None, (call.destination_number, call.extension)):
        yield "extension", number


def _by_less_than_a_claim(tenant: _Tenant, call: CallCompleted) -> MatchResult:
    """The product of a call that none lists: by a range, a search string, or as the rest."""
    found = _by_range(tenant, call) if tenant.ranges else ()
    if not found and tenant.searches and call.direction == "inbound":
        found = _by_search(tenant, call)
    if not found:
        found = tenant.claims.get(_REST, ())
    return _only(found) if found else NoMatch(_unclaimed(call))


def _by_range(tenant: _Tenant, call: CallCompleted) -> tuple[Match, ...]:
    for kind, number in _lookups(call):
        found = tenant.claims.get(("range", number)) if kind == "extension" else None
        if found:
            return found
    return ()


def _by_search(tenant: _Tenant, call: CallCompleted) -> tuple[Match, ...]:
    """Products with a search string that occurs in the record; its tenant is searched last."""
    written = "\n".join(
        (
            call.caller_name,
            call.caller_number,
            call.caller_destination,
            call.destination_number,
            call.source_number,
            call.extension,
            call.accountcode,
        )
    )
    for text in (written.casefold(), call.tenant.casefold()):
        found = [
            match
            for search in tenant.searches
            if search in text
            for match in tenant.claims["search", search]
        ]
        if found:
            return tuple(found)
    return ()


def _only(matches: tuple[Match, ...]) -> Match | Ambiguous:
    if len(matches) == 1:
        return matches[0]
    distinct = {(match.account_id, match.service_id): match for match in matches}
    if len(distinct) == 1:
        return matches[0]
    names = (f"{match.service.name} ({match.account_id})" for match in distinct.values())
    return Ambiguous(tuple(sorted(names)))


def _unclaimed(call: CallCompleted) -> str:
    asked = dict.fromkeys(f"{kind} {shown(text, 40)}" for kind, text in _lookups(call) if text)
    looked_for = ", ".join(asked) or "any number"
    return f"no product of tenant {shown(call.tenant)} claims {looked_for}"
