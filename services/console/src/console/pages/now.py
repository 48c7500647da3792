"""Now: what is the matter, who needs a person, who runs out first, and what happens."""

import asyncio
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.web.page import Visit

_CLIENTS = 20
_ALARMS = 10


async def show(request: Request) -> Response:
    """The whole page."""
    visit = Visit(request)
    facts, reaction = await asyncio.gather(_situation(visit), _reaction(visit))
    return visit.render("now.html", **facts, **reaction, happenings=visit.console.hub.recent)


async def part(request: Request) -> Response:
    """What changes on it."""
    visit, name = Visit(request), request.path_params["part"]
    if name == "situation":
        return visit.render("now/situation.html", **await _situation(visit))
    if name == "reaction":
        return visit.render("now/reaction.html", **await _reaction(visit))
    raise HTTPException(404)


async def _reaction(visit: Visit) -> dict[str, Any]:
    """How soon services were switched off; of the buckets those from the first to the last used."""
    found = await visit.get("/reaction")
    used = [n for n, bucket in enumerate(found["buckets"]) if bucket["count"]]
    shown = found["buckets"][used[0] : used[-1] + 1] if used else []
    most = max((bucket["count"] for bucket in shown), default=0)
    return {"reaction": {**found, "buckets": shown, "most": most}}


async def _situation(visit: Visit) -> dict[str, Any]:
    situation, alarms = await asyncio.gather(
        visit.get("/situation", zone=visit.console.formats.zone, limit=_CLIENTS),
        visit.get("/alarms", state="open", limit=_ALARMS),
    )
    return {"situation": situation, "alarms": alarms}
