"""/v1/situation, and /v1/clients/{account_id}/burn."""

from datetime import datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Query

from accounts.api.dependencies import Deps
from accounts.api.route_scopes import READ
from accounts.refusals import unknown_client
from accounts.situation.answers import BurnAnswer, Situation
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import Id

router = APIRouter(tags=["situation"])


@router.get("/situation", response_model=Situation, dependencies=[READ])
async def get_situation(
    deps: Deps,
    zone: Annotated[str, Query(max_length=60, description="whose midnight begins today")] = "UTC",
    limit: Annotated[int, Query(ge=0, le=100)] = 20,
) -> dict[str, Any]:
    """What an operator looks at first; `clients` are those who need help first."""
    try:
        local = deps.clock.now().astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput("zone", zone, "a time zone such as America/Toronto") from None
    midnight = datetime.combine(local.date(), time(), local.tzinfo)
    return await deps.situation.situation(midnight, limit)


@router.get("/clients/{account_id}/burn", response_model=BurnAnswer, dependencies=[READ])
async def get_burn(account_id: Id, deps: Deps) -> dict[str, Any]:
    """How fast the client uses its credit, and when it is out at this pace."""
    found = await deps.situation.burn(account_id)
    if found is None:
        raise unknown_client(account_id)
    return found
