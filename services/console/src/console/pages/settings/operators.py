"""Operators: who logs in and for what; invited by a link that is shown once."""

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from console.api.client import ApiAnswer, ApiRefused
from console.pages.settings.visitor import SCOPES, may, session_of
from console.web.forms import read_choices, read_form
from console.web.page import Visit

PAGE = "/settings/operators"
_SHOWN = 50
_CHANGES = 20


async def show(request: Request) -> Response:
    """Everybody who logs in, and who changed it; for administrators alone."""
    return await _page(Visit(request))


async def invite(request: Request) -> Response:
    """Create an operator, and show the link of his first login: once, on this page."""
    visit = Visit(request)
    form = await read_form(request, "name", "servers")
    scopes = await read_choices(request, "scope", len(SCOPES))
    body = {"name": form["name"], "scopes": scopes, **_servers(form["servers"])}
    try:
        await visit.console.api.send("POST", visit.token, "/operators", body)
    except ApiRefused as error:
        return visit.go(PAGE, *error.problems, bad=True)
    return await _with_link(visit, form["name"])


async def link(request: Request) -> Response:
    """Show a new link, by which an operator logs in once."""
    await read_form(request)
    return await _with_link(Visit(request), request.path_params["name"])


async def change(request: Request) -> Response:
    """Replace what an operator may do, in his open sessions too."""
    form = await read_form(request, "servers")
    scopes = await read_choices(request, "scope", len(SCOPES))
    body = {"scopes": scopes, "servers": _servers(form["servers"]).get("servers")}
    name = request.path_params["name"]
    return await _changed(Visit(request), name, body, f"{name} may {', '.join(scopes)} now.")


async def disable(request: Request) -> Response:
    """Disable an operator: his sessions and links end, and his tokens are revoked."""
    await read_form(request)
    name = request.path_params["name"]
    words = f"{name} is disabled: his sessions have ended, and his tokens are revoked."
    return await _changed(Visit(request), name, {"enabled": False}, words)


async def enable(request: Request) -> Response:
    """Let an operator log in again."""
    await read_form(request)
    name = request.path_params["name"]
    return await _changed(Visit(request), name, {"enabled": True}, f"{name} may log in again.")


async def _changed(visit: Visit, name: str, body: ApiAnswer, words: str) -> Response:
    try:
        await visit.console.api.send("PATCH", visit.token, f"/operators/{quote(name)}", body)
    except ApiRefused as error:
        return visit.go(PAGE, *error.problems, bad=True)
    return visit.go(PAGE, words)


async def _with_link(visit: Visit, name: str) -> Response:
    """The page with a new link. It is in no cookie and no address of ours: it is a password."""
    try:
        made = await visit.console.api.send("POST", visit.token, "/login-links", {"operator": name})
    except ApiRefused as error:
        return visit.go(PAGE, *error.problems, bad=True)
    base = str(visit.request.base_url).rstrip("/")
    if visit.request.headers.get("x-forwarded-proto") == "https":
        base = base.replace("http://", "https://", 1)
    address = f"{base}/login#{made['secret']}"
    return await _page(visit, made={**made, "address": address})


async def _page(visit: Visit, made: ApiAnswer | None = None) -> Response:
    session = await session_of(visit)
    if not may(session, "admin"):
        return visit.render("settings/no_admin.html", section="operators", session=session)
    cursor = visit.request.query_params.get("cursor", "")
    found, changes = await asyncio.gather(
        visit.get("/operators", cursor=cursor, limit=_SHOWN),
        visit.get("/operators/changes", limit=_CHANGES),
    )
    return visit.render(
        "settings/operators.html",
        section="operators",
        session=session,
        found=found,
        changes=changes["items"],
        scopes=SCOPES,
        made=made,
    )


def _servers(text: str) -> dict[str, Sequence[str]]:
    """The servers of a form, separated by commas or blanks; none: all of them."""
    found = [each for each in text.replace(",", " ").split() if each]
    return {"servers": found} if found else {}
