"""/v1/clients/{account_id}/elements: the elements that were switched off for a client."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from accounts.api.dependencies import AccountId, Deps, PageCursor, PageLimit
from accounts.api.route_scopes import READ

router = APIRouter(prefix="/clients/{account_id}/elements", tags=["clients"])


class ElementOff(BaseModel):
    """A gateway, an extension, a domain or a peer that is recorded as off for a product."""

    service_id: str
    server_id: str
    way: str
    tenant: str
    element: str
    was_on: bool = Field(description="false: it was off before, and stays so")
    adopted: bool = Field(description="it was off when its imported client was met: ours since")
    recorded_at: datetime
    confirmed_at: datetime | None = Field(description="when the PBX was read back to say so")
    left_behind: bool = Field(description="no product names it any more")
    last_error: str


class ElementsOff(BaseModel):
    """A page of elements."""

    items: list[ElementOff]
    next: str | None


@router.get("", dependencies=[READ])
async def list_elements(
    account_id: AccountId, deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> ElementsOff:
    """The elements that are recorded as off for a client, by product."""
    await deps.store.account(account_id)
    return ElementsOff(**await deps.elements.of_client(account_id, cursor, limit))
