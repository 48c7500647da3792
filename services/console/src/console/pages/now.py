"""Now: what is the matter, who needs a person, who runs out first, and what happens."""

import asyncio
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.web.page import Visit

_CLIENTS = 20
_ALARMS = 10
PARTS = {"situation": "now/situation.html"}


async def show(request: Request) -> Response:
    """The whole page."""
    visit = Visit(request)
    return visit.render("now.html", **await _facts(visit), happenings=visit.console.hub.recent)


async def part(request: Request) -> Response:
    """What changes on it."""
    visit = Visit(request)
    template = PARTS.get(request.path_params["part"])
    if template is None:
        raise HTTPException(404)
    return visit.render(template, **await _facts(visit))


async def _facts(visit: Visit) -> dict[str, Any]:
    situation, alarms = await asyncio.gather(
        visit.get("/situation", zone=visit.console.formats.zone, limit=_CLIENTS),
        visit.get("/alarms", state="open", limit=_ALARMS),
    )
    return {"situation": situation, "alarms": alarms}
