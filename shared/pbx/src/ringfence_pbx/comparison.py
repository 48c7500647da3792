"""Compares products with the inventories of their servers, and proposes products: pure.

- A product names something that the server does not have: it is never suspended, and has no calls.
- The server has something that no product names: its calls stay unrated and are billed to nobody.

The rules of which product owns a call are those of rating (domain/billing, section 1).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, NamedTuple

from ringfence.numbers.written import did_key, digits
from ringfence_contracts.events.account import Service
from ringfence_pbx.inventory_view import (
    ClientProduct,
    InventoryItem,
    ItemKind,
    ServerInventory,
    ServerView,
    did_keys_of,
    folded,
    listed,
)
from ringfence_pbx.proposals import Proposal, proposals

__all__ = [
    "ClientProduct",
    "Comparison",
    "InventoryItem",
    "Missing",
    "Proposal",
    "ServerInventory",
    "Unowned",
    "compare",
]

_NEAR = {"tenant": 0.75, "extension": 0.6, "gateway": 0.75, "did": 0.8}
"""The similarity (difflib's ratio) from which one name is suggested for another."""


class Missing(NamedTuple):
    """A product names something that does not exist.

    `suggestion` is a similar existing name, as it would be entered (empty without one); `hint`
    describes it. `is_grave`: until it is corrected, the product has no calls or cannot be
    suspended. A DID, or one of several extensions, is not grave: it may have been removed.
    """

    account_id: str
    service_id: str
    server_id: str
    kind: ItemKind | Literal["server"]
    tenant: str
    name: str
    suggestion: str = ""
    hint: str = ""
    is_grave: bool = False


class Unowned(NamedTuple):
    """A server has something that no product names. `label` is its description for people."""

    server_id: str
    kind: Literal["tenant", "extension", "did"]
    tenant: str
    name: str
    label: str = ""


@dataclass(frozen=True)
class Comparison:
    """The differences. `unread`: servers of products without an inventory."""

    missing: tuple[Missing, ...] = ()
    unowned: tuple[Unowned, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    unread: tuple[str, ...] = field(default=())


def compare(
    products: Collection[ClientProduct],
    inventories: Collection[ServerInventory],
    server_ids: Collection[str] | None = None,
) -> Comparison:
    """The differences between the products and the servers' inventories, in a stable order.

    `server_ids` are the existing servers; None if they are not known: then none counts as missing.
    A server without an inventory is not compared.
    """
    by_server: dict[str, list[ClientProduct]] = defaultdict(list)
    for product in sorted(products, key=lambda p: (p.account_id, p.service.service_id)):
        by_server[product.service.server_id].append(product)
    missing = list(_servers_missing(by_server, server_ids))
    unowned: list[Unowned] = []
    proposed: list[Proposal] = []
    views = {i.server_id: ServerView(i, by_server.get(i.server_id, ())) for i in inventories}
    for _, view in sorted(views.items()):
        missing += _missing(view, [other for other in views.values() if other is not view])
        unowned += _unowned(view)
        proposed += proposals(view)
    unread = by_server.keys() - views.keys()
    if server_ids is not None:
        unread &= set(server_ids)
    return Comparison(tuple(missing), tuple(unowned), tuple(proposed), tuple(sorted(unread)))


def _servers_missing(
    by_server: Mapping[str, list[ClientProduct]], server_ids: Collection[str] | None
) -> Iterator[Missing]:
    if server_ids is None:
        return
    for server_id in sorted(by_server.keys() - set(server_ids)):
        near = get_close_matches(server_id, sorted(server_ids), n=1, cutoff=_NEAR["tenant"])
        for account_id, service in by_server[server_id]:
            yield Missing(
                account_id, service.service_id, server_id, "server", service.tenant, server_id,
                *((near[0], "a server of the servers file") if near else ("", "")), is_grave=True,
            )  # fmt: skip


def _missing(view: ServerView, others: Collection[ServerView]) -> Iterator[Missing]:
    for account_id, service in view.products:
        tenant = folded(service.tenant)
        extensions, dids = listed(service)
        ours = (account_id, service.service_id, view.inventory.server_id)
        if tenant not in view.tenants and view.knows(view.tenants):
            near, hint = _near_tenant(view, others, tenant)
            yield Missing(
                *ours, "tenant", service.tenant, service.tenant, near, hint, is_grave=True
            )
        else:
            absent = list(_absent(view, extensions, view.extensions[tenant], str))
            for extension in absent:
                near, hint = _near_extension(view, tenant, extension)
                yield Missing(
                    *ours, "extension", service.tenant, extension, near, hint,
                    is_grave=len(absent) == len(extensions),
                )  # fmt: skip
            # A server that lists no DID at all has inbound routes of another kind.
            for did in _absent_dids(view, service, dids) if view.lists_dids else ():
                near, hint = _near_did(view, tenant, did)
                yield Missing(*ours, "did", service.tenant, did, near, hint)
        for gateway in _absent(view, service.gateway_ids, view.gateways, folded):
            near, hint = _near_gateway(view, tenant, gateway)
            yield Missing(
                *ours, "gateway", service.tenant, gateway, near, hint,
                is_grave=service.way == "gateway",
            )  # fmt: skip


def _absent(
    view: ServerView,
    names: Iterable[str],
    items: Mapping[str, InventoryItem],
    key: Callable[[str], str],
) -> Iterator[str]:
    """The names that a list of the server lacks; none if the list could not be read."""
    if view.knows(items):
        yield from (name for name in names if key(name) not in items)


def _absent_dids(view: ServerView, service: Service, dids: Iterable[str]) -> Iterator[str]:
    """The DIDs of a product that the server lists in none of their forms."""
    listed_dids = view.dids[folded(service.tenant)]
    if view.knows(listed_dids):
        yield from (did for did in dids if not did_keys_of(service, [did]) & listed_dids.keys())


def _near_tenant(view: ServerView, others: Collection[ServerView], tenant: str) -> tuple[str, str]:
    for other in others:
        if tenant in other.tenants:
            return "", f"server {other.inventory.server_id} has this tenant"
    near = get_close_matches(tenant, sorted(view.tenants), n=1, cutoff=_NEAR["tenant"])
    return (view.tenants[near[0]].name, "a tenant of that server") if near else ("", "")


def _near_extension(view: ServerView, tenant: str, extension: str) -> tuple[str, str]:
    free = [e for e in view.extensions[tenant] if not view.owns_extension(tenant, e)]
    near = get_close_matches(extension, sorted(free), n=1, cutoff=_NEAR["extension"])
    return (near[0], _labelled(view.extensions[tenant][near[0]])) if near else ("", "")


def _near_did(view: ServerView, tenant: str, did: str) -> tuple[str, str]:
    for other, dids in sorted(view.dids.items()):
        if did_key(did) in dids:
            return "", f"tenant {other} has this DID"
    free = {k: item for k, item in view.dids[tenant].items() if not view.owns_did(tenant, item)}
    near = get_close_matches(did_key(did), sorted(free), n=1, cutoff=_NEAR["did"])
    return (digits(free[near[0]].name), _labelled(free[near[0]])) if near else ("", "")


def _near_gateway(view: ServerView, tenant: str, gateway: str) -> tuple[str, str]:
    """The gateway of that name, else the tenant's only gateway that no product names."""
    named = {folded(uuid) for _, service in view.products for uuid in service.gateway_ids}
    candidates = [g for g in view.gateways.values() if folded(g.name) == folded(gateway)] or [
        g for k, g in view.gateways.items() if folded(g.tenant) == tenant and k not in named
    ]
    if len(candidates) != 1:
        return "", ""
    return candidates[0].uuid, f"gateway {candidates[0].name}"


def _labelled(item: InventoryItem) -> str:
    return f"{item.kind} {item.name}" + (f" ({item.label})" if item.label else "")


def _unowned(view: ServerView) -> Iterator[Unowned]:
    server_id = view.inventory.server_id
    for tenant in view.tenants_without_product:
        item = view.tenants[tenant]
        yield Unowned(server_id, "tenant", item.name, item.name, item.label)
    for tenant in sorted(view.owned.keys() & view.tenants.keys()):
        for extension, item in sorted(view.extensions[tenant].items()):
            if item.enabled is not False and not view.owns_extension(tenant, extension):
                yield Unowned(server_id, "extension", item.tenant, item.name, item.label)
        for _, item in sorted(view.dids[tenant].items()):
            if item.enabled is not False and not view.owns_did(tenant, item):
                yield Unowned(server_id, "did", item.tenant, item.name, item.label)
