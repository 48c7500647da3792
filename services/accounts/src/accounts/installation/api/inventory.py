"""/v1/servers/{server_id}/inventory and comparison with the products."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from accounts.api.dependencies import Dependencies, Deps, PageCursor, PageLimit, Who
from accounts.api.requests import Requested, publish_request
from accounts.api.route_scopes import OPERATE_SERVER, READ
from accounts.installation.api.servers import known_server
from accounts.installation.proposed import ProposedProduct, free_ids
from accounts.installation.servers import KnownServer
from ringfence_contracts.events.model import Id
from ringfence_pbx.comparison import ClientProduct, Comparison, ServerInventory, compare
from ringfence_pbx.inventory_view import ItemKind

router = APIRouter(prefix="/servers/{server_id}", tags=["servers"])


class InventoryItem(BaseModel):
    """An item of a server's inventory. `enabled` None: the server does not show it."""

    kind: ItemKind
    tenant: str
    name: str
    uuid: str
    label: str
    enabled: bool | None
    leads_to: str = Field(description="the extension that a DID rings, if known")


class InventoryPage(BaseModel):
    """The last read inventory of a server, and when it was read.

    `gaps` lists what could not be read; `error` says why the last reading failed, empty if it did
    not.
    """

    server_id: str
    asked_at: datetime | None
    read_at: datetime | None
    gaps: list[str]
    error: str
    items: list[InventoryItem]
    count: int
    next: str | None


class MissingThing(BaseModel):
    """A product names an item that its server does not have. `suggestion`: what may be meant."""

    account_id: str
    product: str
    kind: Literal["tenant", "extension", "gateway", "did", "server"]
    tenant: str
    name: str
    suggestion: str
    hint: str
    is_grave: bool = Field(description="the product has no calls, or cannot be switched off")


class UnownedThing(BaseModel):
    """The server has an item that no product names: its calls stay unrated."""

    kind: Literal["tenant", "extension", "did"]
    tenant: str
    name: str
    label: str


class ServerComparison(BaseModel):
    """The differences between the products of a server and its inventory, both ways.

    `read_at` None: the inventory was never read, so nothing could be compared.
    """

    server_id: str
    read_at: datetime | None
    gaps: list[str]
    error: str
    missing: list[MissingThing]
    unowned: list[UnownedThing]
    proposals: list[ProposedProduct]


@router.get("/inventory", dependencies=[READ])
async def get_inventory(
    server_id: Id,
    deps: Deps,
    kind: ItemKind | None = None,
    not_ours: bool = False,
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> InventoryPage:
    """The inventory of a server, by kind, tenant and name.

    `not_ours`: only items that are off and were not switched off by ringfence, which never
    switches them.
    """
    known_server(deps, server_id)
    read = await deps.inventory.last_read(server_id)
    found = await deps.inventory.items(server_id, kind, not_ours, cursor, limit)
    return InventoryPage(server_id=server_id, **read, **found)


@router.post("/inventory", status_code=202, dependencies=[OPERATE_SERVER])
async def read_inventory(server_id: Id, deps: Deps, who: Who) -> Requested:
    """Read a server again; `asked_at` of its inventory says when the reading began."""
    known_server(deps, server_id)
    return await publish_request(deps, "inventory.read", {"server_id": server_id}, who, "")


@router.get("/comparison", dependencies=[READ])
async def get_comparison(server_id: Id, deps: Deps) -> ServerComparison:
    """The differences between products and their server, and proposed products."""
    server = known_server(deps, server_id)
    read = await deps.inventory.last_read(server_id)
    found = await _compared(deps, server) if read["read_at"] else Comparison()
    taken = [product.service.service_id for product in await deps.products.on_server()]
    ids = free_ids([proposal.tenant for proposal in found.proposals], taken)
    return ServerComparison(
        server_id=server_id,
        read_at=read["read_at"],
        gaps=read["gaps"],
        error=read["error"],
        missing=[
            MissingThing(
                account_id=m.account_id, product=m.service_id, kind=m.kind, tenant=m.tenant,
                name=m.name, suggestion=m.suggestion, hint=m.hint, is_grave=m.is_grave,
            )
            for m in found.missing
        ],
        unowned=[
            UnownedThing(kind=u.kind, tenant=u.tenant, name=u.name, label=u.label)
            for u in found.unowned
        ],
        proposals=[
            ProposedProduct(
                product=product, server_id=p.server_id, kind=p.kind, tenant=p.tenant, name=p.name,
                fields=dict(p.fields), notes=list(p.notes),
            )
            for product, p in zip(ids, found.proposals, strict=True)
        ],
    )  # fmt: skip


async def _compared(deps: Dependencies, server: KnownServer) -> Comparison:
    """The comparison of one server. The tenants of other servers serve for suggestions."""
    server_id = server.server_id
    read = await deps.inventory.read_servers()
    listed = deps.listed_servers()
    others = [known for known in read if known != server_id and known in listed]
    tenants = await deps.inventory.tenants_of(others)
    inventories = [
        ServerInventory(
            server_id, server.kind, await deps.inventory.all_of(server_id), *read[server_id]
        ),
        *(ServerInventory(other, listed[other].kind, tenants[other]) for other in others),
    ]
    products = [
        ClientProduct(product.account_id, product.service)
        for product in await deps.products.on_server(server_id)
    ]
    found = compare(products, inventories)
    return Comparison(
        missing=tuple(each for each in found.missing if each.server_id == server_id),
        unowned=tuple(each for each in found.unowned if each.server_id == server_id),
        proposals=tuple(each for each in found.proposals if each.server_id == server_id),
    )
