"""Calls: one with its explanation, the search for it, and those that wait for a price."""

import asyncio
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.api.client import ApiRefused
from console.web.forms import read_form
from console.web.page import Visit

_PAGE = 50


async def show(request: Request) -> Response:
    """What became of a call or a payment, by its id or the first digits of that."""
    visit = Visit(request)
    asked = request.path_params["call"]
    found = await visit.get(f"/calls/{quote(asked, safe='')}")
    return visit.render("call.html", call=found, asked=asked)


async def find(request: Request) -> Response:
    """One box for everything: an id of a call goes to the call, anything else to the clients."""
    visit = Visit(request)
    asked = request.query_params.get("search", "").strip()
    if not asked:
        return RedirectResponse("/clients", 303)
    try:
        await visit.get(f"/calls/{quote(asked, safe='')}")
    except ApiRefused:
        return RedirectResponse(f"/clients?search={quote(asked, safe='')}", 303)
    return RedirectResponse(f"/calls/{quote(asked, safe='')}", 303)


async def unrated(request: Request) -> Response:
    """The calls that wait for a price, by reason and one by one, the oldest first."""
    visit = Visit(request)
    cursor = request.query_params.get("cursor", "")
    waiting, found = await asyncio.gather(
        visit.get("/unrated/waiting"), visit.get("/unrated", cursor=cursor, limit=_PAGE)
    )
    return visit.render("unrated.html", waiting=waiting, found=found)


async def replay(request: Request) -> Response:
    """Try calls again: those of a reason and tenant, or one."""
    visit = Visit(request)
    form = await read_form(request, "reason", "tenant", "call")
    body: dict[str, object] = {"wait_s": 0}
    if form["call"]:
        body["calls"] = [form["call"]]
    else:
        body |= {name: form[name] for name in ("reason", "tenant") if form[name]}
    if len(body) == 1:
        body["all"] = True
    try:
        await visit.console.api.send("POST", visit.token, "/unrated/replays", body)
    except ApiRefused as error:
        return visit.go("/unrated", *error.problems, bad=True)
    return visit.go("/unrated", "They are tried again now; what has a price leaves the list.")
