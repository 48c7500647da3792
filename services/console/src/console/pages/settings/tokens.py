"""Tokens: those of systems and people; a new one is shown once."""

import asyncio
from datetime import datetime, time, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from console.api.client import ApiAnswer, ApiRefused
from console.pages.settings.visitor import SCOPES, may, session_of
from console.web.forms import read_choices, read_form
from console.web.page import Visit

PAGE = "/settings/tokens"
_SHOWN = 50
_CHANGES = 20
OVERLAPS = {"3600": "an hour", "86400": "a day", "604800": "a week", "0": "not at all: it ends now"}
"""How long a replaced token stays valid, in seconds and words."""


async def show(request: Request) -> Response:
    """The tokens in use, or all; for administrators alone."""
    return await _page(Visit(request))


async def create(request: Request) -> Response:
    """Create a token, and show it: once, on this page."""
    visit = Visit(request)
    form = await read_form(request, "operator", "servers", "until")
    body: dict[str, object] = {
        "operator": form["operator"],
        "scopes": await read_choices(request, "scope", len(SCOPES)),
    }
    if servers := form["servers"].replace(",", " ").split():
        body["servers"] = servers
    if form["until"]:
        try:
            body["expires_at"] = _end_of(form["until"], visit.console.formats.zone)
        except ValueError:
            problem = f"until: {form['until']!r}: expected a date such as 2027-06-30"
            return visit.go(PAGE, problem, bad=True)
    return await _made(visit, "/tokens", body)


async def rotate(request: Request) -> Response:
    """Replace a token by one that allows the same, and show that: once, on this page."""
    visit = Visit(request)
    form = await read_form(request, "overlap")
    overlap = form["overlap"] if form["overlap"] in OVERLAPS else "3600"
    return await _made(visit, f"/tokens/{_id(request)}/rotate", {"overlap_s": int(overlap)})


async def revoke(request: Request) -> Response:
    """End a token at once."""
    visit = Visit(request)
    await read_form(request)
    try:
        found = await visit.console.api.send("DELETE", visit.token, f"/tokens/{_id(request)}")
    except ApiRefused as error:
        return visit.go(PAGE, *error.problems, bad=True)
    return visit.go(
        PAGE, f"The token of {found['operator']} is revoked: it is refused from now on."
    )


async def _made(visit: Visit, path: str, body: ApiAnswer) -> Response:
    """The page with a new token. It is in no cookie and no address: nobody can read it again."""
    try:
        made = await visit.console.api.send("POST", visit.token, path, body)
    except ApiRefused as error:
        return visit.go(PAGE, *error.problems, bad=True)
    return await _page(visit, made=made)


async def _page(visit: Visit, made: ApiAnswer | None = None) -> Response:
    session = await session_of(visit)
    if not may(session, "admin"):
        return visit.render("settings/no_admin.html", section="tokens", session=session)
    asked = visit.request.query_params
    state = "all" if asked.get("state") == "all" else "valid"
    found, changes = await asyncio.gather(
        visit.get("/tokens", state=state, cursor=asked.get("cursor", ""), limit=_SHOWN),
        visit.get("/tokens/changes", limit=_CHANGES),
    )
    return visit.render(
        "settings/tokens.html",
        section="tokens",
        session=session,
        found=found,
        changes=changes["items"],
        state=state,
        scopes=SCOPES,
        overlaps=OVERLAPS,
        made=made,
    )


def _end_of(day: str, zone: str) -> str:
    """The end of a day in the operator's zone."""
    after = datetime.fromisoformat(day).date() + timedelta(days=1)
    return datetime.combine(after, time(), ZoneInfo(zone)).isoformat()


def _id(request: Request) -> str:
    return quote(request.path_params["token_id"], safe="")
