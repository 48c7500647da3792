"""/v1/adoptions: elements that are off and will count as switched off by ringfence."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from accounts.api.dependencies import Deps, PageCursor, PageLimit
from accounts.api.route_scopes import READ
from ringfence_contracts.events.model import Id

router = APIRouter(prefix="/adoptions", tags=["servers"])


class Adoption(BaseModel):
    """An element that is off on the PBX of a client who was off when imported.

    Once the client is live, it counts as switched off by ringfence, so that a payment switches it
    on. `name` and `label` are its names on the PBX.
    """

    account_id: str
    service_id: str
    server_id: str
    way: str
    tenant: str
    element: str
    name: str
    label: str
    read_at: datetime


class Adoptions(BaseModel):
    """Elements that would be adopted; `warnings` name servers whose state is not known."""

    items: list[Adoption]
    count: int
    next: str | None
    warnings: list[str]


@router.get("", dependencies=[READ])
async def list_adoptions(
    deps: Deps,
    server: Id | None = None,
    account: Id | None = None,
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> Adoptions:
    """Elements that are off on the PBXs of clients imported with VoIP Suspended = Yes."""
    found = await deps.adoptions.adoptable(server, account, cursor, limit)
    unread = await deps.adoptions.unread(server)
    warnings = [
        f"server {each} was never read, so that what is off there is not known: "
        f"`ringfence server inventory {each} --refresh`"
        for each in unread
    ]
    return Adoptions(**found, warnings=warnings)
