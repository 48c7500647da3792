"""Servers: what is off there, what fails, pauses; and one server beside the products on it."""

import asyncio
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.api.client import ApiRefused
from console.web.commands import carried_out
from console.web.forms import local_instant, read_form
from console.web.page import Visit

_SHOWN = 100


async def show(request: Request) -> Response:
    """All servers, and the last examination that this page asked for."""
    visit = Visit(request)
    servers, examined = await asyncio.gather(visit.get("/servers"), _examination(visit))
    return visit.render("servers.html", servers=servers, **examined)


async def part(request: Request) -> Response:
    """What changes on it: the servers, or how far the examination is."""
    visit, name = Visit(request), request.path_params["part"]
    if name == "list":
        return visit.render("servers/list.html", servers=await visit.get("/servers"))
    if name == "examination":
        return visit.render("servers/examination.html", **await _examination(visit))
    raise HTTPException(404)


async def one(request: Request) -> Response:
    """One server: what products lack there, and what no product names."""
    visit = Visit(request)
    server_id = request.path_params["server_id"]
    servers, comparison, packages = await asyncio.gather(
        visit.get("/servers"), visit.get(f"{_path(request)}/comparison"), visit.get("/packages")
    )
    server = next((s for s in servers["items"] if s["server_id"] == server_id), None)
    if server is None:
        raise ApiRefused(404, [f"there is no server {server_id}"])
    return visit.render(
        "server.html", server=server, found=comparison, packages=packages["items"], most=_SHOWN
    )


async def pause(request: Request) -> Response:
    """Leave a server alone, until a time or until it is resumed."""
    visit = Visit(request)
    form = await read_form(request, "reason", "until")
    body = {"reason": form["reason"]}
    if form["until"]:
        try:
            body["until"] = local_instant(form["until"], visit.console.formats.zone)
        except ValueError:
            problem = f"until: {form['until']!r}: expected a time such as 2026-12-01T17:00"
            return visit.go("/servers", problem, bad=True)
    return await carried_out(visit, f"{_path(request)}/pause", body, "/servers")


async def resume(request: Request) -> Response:
    """End a pause: what became due during it is switched."""
    visit = Visit(request)
    form = await read_form(request, "reason")
    return await carried_out(visit, f"{_path(request)}/resume", form, "/servers")


async def read_again(request: Request) -> Response:
    """Read what the server has, now."""
    await read_form(request)
    return await carried_out(
        Visit(request), f"{_path(request)}/inventory", None, f"/servers/{_id(request)}"
    )


async def examine(request: Request) -> Response:
    """Check every server and the platform; the page shows what is found as it is found."""
    visit = Visit(request)
    form = await read_form(request, "server")
    body = {"server": form["server"]} if form["server"] else {}
    try:
        found = await visit.console.api.send("POST", visit.token, "/examinations", body)
    except ApiRefused as error:
        return visit.go("/servers", *error.problems, bad=True)
    return visit.go(f"/servers?examination={found['request_id']}")


async def give(request: Request) -> Response:
    """Enter a proposed product for a client, with its fields as they were corrected."""
    visit, page = Visit(request), f"/servers/{_id(request)}"
    found = await visit.get(f"{_path(request)}/comparison")
    fields = {name for proposal in found["proposals"] for name in proposal["fields"]}
    form = await read_form(request, "proposal", "client", "package", *fields)
    proposal = next((p for p in found["proposals"] if p["product"] == form["proposal"]), None)
    if proposal is None:
        return visit.go(page, "It is proposed no longer: a product names the tenant now.", bad=True)
    named = ("kind", "server_id", "name")
    body = {name: proposal[name] for name in named}
    body |= {name: form[name] for name in proposal["fields"]}
    if form["package"]:
        body["package"] = form["package"]
    where = f"/clients/{quote(form['client'], safe='')}/products/{quote(proposal['product'])}"
    try:
        entered = await visit.console.api.send("PUT", visit.token, where, body)
    except ApiRefused as error:
        return visit.go(page, *error.problems, bad=True)
    done = f"{proposal['tenant']} belongs to {form['client']} now; its calls that wait are tried."
    return visit.go(page, done, *map(str, entered.get("warnings") or ()))


async def _examination(visit: Visit) -> dict[str, Any]:
    """The examination that the address names, or none."""
    asked = visit.request.query_params.get("examination", "")
    if not asked:
        return {"job": None}
    return {"job": await visit.get(f"/jobs/{quote(asked, safe='')}")}


def _id(request: Request) -> str:
    return quote(request.path_params["server_id"], safe="")


def _path(request: Request) -> str:
    return f"/servers/{_id(request)}"
