"""/v1/reaction, and /v1/clients/{account_id}/reaction."""

from typing import Any

from fastapi import APIRouter

from accounts.api.dependencies import AccountId, Deps
from accounts.api.route_scopes import READ
from accounts.reaction.answers import ClientReaction, Reaction

router = APIRouter(tags=["situation"])


@router.get("/reaction", response_model=Reaction, dependencies=[READ])
async def get_reaction(deps: Deps) -> dict[str, Any]:
    """How soon services were switched off after a call used up the credit, in the last hour."""
    return await deps.reaction.last_hour()


@router.get("/clients/{account_id}/reaction", response_model=ClientReaction, dependencies=[READ])
async def get_client_reaction(account_id: AccountId, deps: Deps) -> dict[str, Any]:
    """The last time that a call or a payment switched a service of this client."""
    await deps.store.account(account_id)
    return await deps.reaction.last_of(account_id)
