"""/v1/mode/wave: the next clients to change their mode, and what happens to each."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from accounts.api.dependencies import Deps
from accounts.api.route_scopes import READ
from accounts.clients.overview.store import Filters
from accounts.modes.answers import Wave
from accounts.modes.wave import wave_of
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import OperatingMode
from ringfence_contracts.events.model import Id

router = APIRouter(tags=["operations"])
LARGEST = 100


@router.get("/mode/wave", response_model=Wave, dependencies=[READ])
async def get_wave(
    deps: Deps,
    to: OperatingMode = "live",
    search: Annotated[str | None, Query(description="as in the list of clients")] = None,
    clients: Annotated[
        list[Id] | None,
        Query(max_length=LARGEST, description="these, in the place of those that are next"),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST)] = 20,
) -> dict[str, Any]:
    """The next clients to change their mode, with what happens to each; nothing is changed.

    Those who stay on are first, then those who are switched off (to live) or are off (to shadow),
    then those who cannot go live. `PUT /v1/clients/{account_id}/mode` changes each.
    """
    if search is not None and (len(search) > 200 or "\x00" in search):
        raise BadInput("search", search, "at most 200 characters of text")
    other: OperatingMode = "shadow" if to == "live" else "live"
    filters = Filters(search=search, mode=other)
    if clients is None:
        rows = await deps.overview.next_of_mode(filters, limit)
    else:
        rows = await deps.overview.named(clients)
    names = [row.account.account_id for row in rows]
    items = wave_of(
        rows,
        to,
        deps.clock.now(),
        unposted=await deps.overview.unposted(names),
        adopts=await deps.adoptions.by_client(names) if to == "live" else {},
    )
    counts = await deps.overview.counts_of_mode(filters)
    brake = await deps.operations.brake()
    return {"to": to, "items": items, **counts, "brake": brake["on"]}
