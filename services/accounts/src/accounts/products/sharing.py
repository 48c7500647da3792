"""What two products must not share: billed extensions, and elements that are switched. Pure.

Switching one client off must not affect another: a gateway, trunk, peer or domain that one client
is switched by is refused for another client (architecture, section 4).
"""

from collections.abc import Iterable, Sequence

from accounts.products.product import Product
from accounts.refusals import Clash
from ringfence_contracts.events.account import Service
from ringfence_contracts.extension_ranges import overlap


def check_shared(product: Product, others: Sequence[Product]) -> None:
    """Refuse a product that would bill calls twice, or be switched off with another client.

    `others` are at least the products of the same server that name its tenant or one of its
    gateways: others share nothing with it. Raises Clash, which names the other product.
    """
    for other in _beside(product, others):
        _check_billed_twice(product, other)
        if other.account_id != product.account_id:
            _check_gateways(product, other)
            _check_domain(product, other)
            _check_peer(product, other)


def _beside(product: Product, others: Iterable[Product]) -> Iterable[Product]:
    """The other products on the product's server. It may have been on another server itself."""
    service = product.service
    return (
        other
        for other in others
        if other.service.service_id != service.service_id
        and other.service.server_id == service.server_id
    )


def _check_billed_twice(product: Product, other: Product) -> None:
    service, other_service = product.service, other.service
    if other_service.tenant != service.tenant:
        return
    shared = set(service.extensions) & set(other_service.extensions)
    owner = f"product {other_service.service_id} of client {other.account_id}"
    if shared:
        raise Clash("extensions", " | ".join(sorted(shared)), f"{owner} bills it already")
    _check_ranges(service, other_service, owner)
    if service.rest_of_tenant and other_service.rest_of_tenant:
        expected = (
            f"{owner} owns the rest of tenant {service.tenant} already: list the extensions of one"
        )
        raise Clash("extensions", "*", expected)


def _check_ranges(service: Service, other: Service, owner: str) -> None:
    """An extension may be in one range only; listed by itself, it is no part of another's range."""
    for mine in service.extension_ranges:
        theirs = [one for one in other.extension_ranges if overlap(mine, one)]
        if theirs:
            expected = (
                f"{owner} has {theirs[0]}: give each extension to one range. A single extension of"
                " another product's range may be listed by itself, and then belongs to this one"
            )
            raise Clash("extensions", mine, expected)


def _check_gateways(product: Product, other: Product) -> None:
    service, other_service = product.service, other.service
    gateways = set(service.gateway_ids) & set(other_service.gateway_ids)
    if not gateways or "gateway" not in (service.suspend_by, other_service.suspend_by):
        return
    what = (
        f"client {other.account_id} uses it too (product {other_service.service_id}), and would "
        "be switched off with it; suspend by extensions"
    )
    field = "trunk_ids" if service.kind == "vodia" else "gateway_ids"
    raise Clash(field, " | ".join(sorted(gateways)), what)


def _check_domain(product: Product, other: Product) -> None:
    service, other_service = product.service, other.service
    if other_service.tenant != service.tenant:
        return
    owner = f"client {other.account_id} (product {other_service.service_id})"
    if service.suspend_by == "domain":
        what = f"{owner} is in domain {service.tenant} too, and would be switched off with it"
        raise Clash("suspend_by", "domain", f"{what}; suspend by outbound, extensions or gateway")
    if other_service.suspend_by == "domain":
        what = f"it is switched off as a whole for {owner}, and this product would be off with it"
        hint = f"switch {other_service.service_id} another way first"
        raise Clash("domain_tenant_and_main_dids", service.tenant, f"{what}; {hint}")


def _check_peer(product: Product, other: Product) -> None:
    """A peer is switched as a whole, so a prepaid product beside another could never be cut."""
    service, other_service = product.service, other.service
    same_tenant = service.tenant == other_service.tenant
    both = service.kind == other_service.kind == "lesnet" and same_tenant
    if both and (service.prepaid or other_service.prepaid):
        what = (
            f"client {other.account_id} uses it too (product {other_service.service_id}), and a "
            "peer is switched as a whole: give each prepaid client a peer of its own"
        )
        raise Clash("peer_id", service.tenant, what)
