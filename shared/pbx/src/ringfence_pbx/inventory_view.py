"""The inventory of a server, and which parts of it its products own: pure.

The rules of which product owns a call are those of rating (domain/billing, section 1).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ringfence.numbers.dids import did_keys
from ringfence.numbers.written import did_key
from ringfence_contracts.events.account import Service
from ringfence_contracts.extension_ranges import in_ranges

ServerKind = Literal["fusionpbx", "vodia", "lesnet"]
ItemKind = Literal["tenant", "extension", "gateway", "did"]


class ClientProduct(NamedTuple):
    """A client's product."""

    account_id: str
    service: Service


class InventoryItem(NamedTuple):
    """An item of a server, as `report.inventory` lists it.

    `tenant` is empty for a gateway that several tenants share. `uuid` is the id by which products
    name a gateway (a Vodia trunk's id). `leads_to` is the extension that a DID rings, if known.
    """

    kind: ItemKind
    tenant: str
    name: str
    uuid: str = ""
    label: str = ""
    enabled: bool | None = None
    leads_to: str = ""


@dataclass(frozen=True)
class ServerInventory:
    """All items that could be read from a server. `gaps` describes what could not be read.

    `tests_toll_allow`: whether its outbound routes test toll_allow; None if that is not known.
    """

    server_id: str
    kind: ServerKind
    items: Collection[InventoryItem] = ()
    gaps: Collection[str] = ()
    tests_toll_allow: bool | None = None


class ServerView:
    """One server's items by kind and tenant, and the services of its products by tenant."""

    def __init__(self, inventory: ServerInventory, products: Iterable[ClientProduct]) -> None:
        self.inventory = inventory
        self.products = tuple(products)
        self.tenants: dict[str, InventoryItem] = {}
        self.gateways: dict[str, InventoryItem] = {}
        self.extensions: dict[str, dict[str, InventoryItem]] = defaultdict(dict)
        self.dids: dict[str, dict[str, InventoryItem]] = defaultdict(dict)
        for item in inventory.items:
            self._enter(item)
        self.owned: dict[str, list[Service]] = defaultdict(list)
        for _, service in self.products:
            self.owned[folded(service.tenant)].append(service)

    def _enter(self, item: InventoryItem) -> None:
        tenant = folded(item.tenant)
        if item.kind == "tenant":
            self.tenants[folded(item.name)] = item
        elif item.kind == "gateway":
            self.gateways[folded(item.uuid)] = item
        elif item.kind == "extension":
            self.extensions[tenant][item.name] = item
        elif did := did_key(item.name):
            self.dids[tenant][did] = item

    def knows(self, items: Collection[object]) -> bool:
        """Whether the list is complete, so that an item which it lacks does not exist.

        An empty list may be incomplete if something of the server could not be read.
        """
        return bool(items) or not self.inventory.gaps

    @property
    def lists_dids(self) -> bool:
        """Whether the server lists any DID."""
        return any(self.dids.values())

    @property
    def tenants_without_product(self) -> list[str]:
        """The enabled tenants that can have calls (telephones or DIDs) and no product."""
        return sorted(
            tenant
            for tenant, item in self.tenants.items()
            if item.enabled is not False and not self.owned.get(tenant)
            if self.extensions[tenant] or self.dids[tenant] or self.inventory.gaps
        )

    def owns_extension(self, tenant: str, extension: str) -> bool:
        """Whether a product owns the calls of an extension."""
        services = self.owned.get(tenant, ())
        return any(
            owns_rest(s) or extension in listed(s)[0] or in_ranges(extension, s.extension_ranges)
            for s in services
        )

    def owns_did(self, tenant: str, item: InventoryItem) -> bool:
        """Whether a product owns the inbound calls of a DID."""
        services, did = self.owned.get(tenant, ()), did_key(item.name)
        if any(owns_rest(s) or did in did_keys_of(s, listed(s)[1]) for s in services):
            return True
        return bool(item.leads_to) and self.owns_extension(tenant, item.leads_to)


def did_keys_of(service: Service, dids: Iterable[str]) -> set[str]:
    """The keys under which calls find these DIDs of a product."""
    country_code = service.package.country_code if service.package else "1"
    return {key for did in dids for key in did_keys(did, country_code)}


def listed(service: Service) -> tuple[list[str], list[str]]:
    """The extensions and the DIDs that a product lists. Vodia's lists may contain both kinds."""
    if service.kind != "vodia":
        return list(service.extensions), list(service.dids)
    numbers = list(dict.fromkeys((*service.extensions, *service.dids)))
    extensions = [number for number in numbers if 3 <= len(number) <= 5]
    return extensions, [number for number in numbers if number not in extensions]


def owns_rest(service: Service) -> bool:
    """Whether a product owns the calls of its tenant that no other product lists."""
    if service.rest_of_tenant or service.kind == "lesnet":
        return True
    has_extensions = listed(service)[0] or service.extension_ranges
    return not (has_extensions or service.display_name or service.inbound_search)


def folded(name: str) -> str:
    """The name of a tenant, or the id of a gateway, in the form in which it is compared."""
    return name.strip().casefold()
