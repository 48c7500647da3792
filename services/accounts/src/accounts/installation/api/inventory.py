"""/v1/servers/{server_id}/inventory and comparison: what a server has, and what differs."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from accounts.api.dependencies import Dependencies, Deps, PageCursor, PageLimit, Who
from accounts.api.requests import Requested, publish_request
from accounts.installation.api.servers import known_server
from accounts.installation.proposed import ProposedProduct, free_ids
from accounts.installation.servers import KnownServer
from ringfence_contracts.events.model import Id
from ringfence_pbx.comparison import ClientProduct, Comparison, ServerInventory, compare
from ringfence_pbx.inventory_view import ItemKind

router = APIRouter(prefix="/servers/{server_id}", tags=["servers"])


class InventoryItem(BaseModel):
    """Something that a server has. `enabled` None: the server does not show it."""

    kind: ItemKind
    tenant: str
    name: str
    uuid: str
    label: str
    enabled: bool | None
    leads_to: str = Field(description="the extension that a DID rings, if known")


class InventoryPage(BaseModel):
    """What a server was last read to have, and when that was.

    `gaps` says what could not be read; `error` why the last reading failed, empty if it did not.
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
    """A product names what its server does not have. `suggestion` is what may be meant."""

    account_id: str
    product: str
    kind: Literal["tenant", "extension", "gateway", "did", "server"]
    tenant: str
    name: str
    suggestion: str
    hint: str
    is_grave: bool = Field(description="the product has no calls, or cannot be switched off")


class UnownedThing(BaseModel):
    """The server has what no product names: its calls stay unrated."""

    kind: Literal["tenant", "extension", "did"]
    tenant: str
    name: str
    label: str


class ServerComparison(BaseModel):
    """What differs between the products of a server and what it has, both ways.

    `read_at` None: its inventory was never read, so that nothing could be compared.
    """

    server_id: str
    read_at: datetime | None
    gaps: list[str]
    error: str
    missing: list[MissingThing]
    unowned: list[UnownedThing]
    proposals: list[ProposedProduct]


@router.get("/inventory")
async def get_inventory(
    server_id: Id,
    deps: Deps,
    kind: ItemKind | None = None,
    not_ours: bool = False,
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> InventoryPage:
    """What a server has, by kind, tenant and name.

    `not_ours`: only what is off there and was not switched off by ringfence: it is never touched.
    """
    known_server(deps, server_id)
    read = await deps.inventory.last_read(server_id)
    found = await deps.inventory.items(server_id, kind, not_ours, cursor, limit)
    return InventoryPage(server_id=server_id, **read, **found)


@router.post("/inventory", status_code=202)
async def read_inventory(server_id: Id, deps: Deps, who: Who) -> Requested:
    """Have a server read again; `asked_at` of its inventory says when that was begun."""
    known_server(deps, server_id)
    return await publish_request(deps, "inventory.read", {"server_id": server_id}, who, "")


@router.get("/comparison")
async def get_comparison(server_id: Id, deps: Deps) -> ServerComparison:
    """What differs between products and their server, both ways, and products that are proposed."""
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
    """One server compared; of the others only the tenants are looked at, for what is meant."""
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
