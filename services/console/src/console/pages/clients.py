"""The list of clients: search, filters, pages."""

from starlette.requests import Request
from starlette.responses import Response

from console.web.page import Visit

STATES = ("off", "failed", "switching", "would-be-off", "on", "no-service")
_PAGE = 50


async def show(request: Request) -> Response:
    """A page of clients, by their ids."""
    visit, asked = Visit(request), request.query_params
    chosen = {name: asked.get(name, "") for name in ("search", "state", "level")}
    found = await visit.get("/clients", **chosen, cursor=asked.get("cursor", ""), limit=_PAGE)
    return visit.render("clients.html", found=found, chosen=chosen, states=STATES)
