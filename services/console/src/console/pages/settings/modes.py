"""Modes: clients go live in waves, each seen before it is switched, and go back into shadow."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.api.client import ApiAnswer, ApiAway, ApiRefused
from console.pages.settings.visitor import may, session_of
from console.web.commands import carried_out
from console.web.forms import read_choices, read_form
from console.web.page import Visit

PAGE = "/settings/modes"
LARGEST = 50
"""The clients of one wave: a person looks at each of them, and the page of the wave names them."""

_AT_ONCE = 6
_WOULD_BE_OFF = 20
_ORDERS = ("release", "undo")


async def show(request: Request) -> Response:
    """Who is in which mode, who would be off, the brake; and the wave that was switched last."""
    visit = Visit(request)
    modes, brake, off, session = await asyncio.gather(
        visit.get("/mode"),
        visit.get("/brake"),
        visit.get("/clients", state="would-be-off", limit=_WOULD_BE_OFF),
        session_of(visit),
    )
    return visit.render(
        "settings/modes.html",
        section="modes",
        modes=modes,
        brake=brake,
        off=off,
        largest=LARGEST,
        may_switch=may(session, "operate"),
        wave=await _switched(visit),
    )


async def part(request: Request) -> Response:
    """What changes on it: the wave, as the PBXs confirm it."""
    visit = Visit(request)
    wave = await _switched(visit)
    if request.path_params["part"] != "wave" or wave is None:
        raise HTTPException(404)
    return visit.render("settings/wave.html", wave=wave)


async def preview(request: Request) -> Response:
    """The next wave: who, and what happens to each. Nothing is changed."""
    visit, asked = Visit(request), request.query_params
    to, search = _mode(asked.get("to", "")), asked.get("search", "")
    named = asked.getlist("client")[:LARGEST]
    given = {"clients": named} if named else {"limit": _size(asked.get("size", ""))}
    wave, session = await asyncio.gather(
        visit.get("/mode/wave", to=to, search=search, **given), session_of(visit)
    )
    return visit.render(
        "settings/preview.html",
        section="modes",
        wave=wave,
        outcomes=Counter(each["outcome"] for each in wave["items"]),
        search=search,
        may_switch=may(session, "operate"),
    )


async def switch(request: Request) -> Response:
    """Change the mode of the clients that were chosen, if what happens is still what was shown."""
    visit = Visit(request)
    form = await read_form(request, "to", "reason", "leave")
    to = _mode(form["to"])
    seen = dict(_chosen(each) for each in await read_choices(request, "client", LARGEST))
    if not seen:
        return visit.go(f"{PAGE}/preview?to={to}", "Choose at least one client.", bad=True)
    where = urlencode([("to", to), *(("client", each) for each in seen)])
    wave = await visit.get("/mode/wave", to=to, clients=list(seen))
    changed = [each for each in wave["items"] if each["outcome"] != seen[each["account_id"]]]
    if changed:
        names = ", ".join(each["account_id"] for each in changed[:10])
        words = f"Nothing was changed: since you looked, something else happens to {names}."
        return visit.go(f"{PAGE}/preview?{where}", words, "Look again.", bad=True)
    body = {"mode": to, "reason": form["reason"]}
    if to == "shadow":
        body["leave"] = "yes" if form["leave"] else "no"
    return await _switch(visit, to, list(seen), body, where)


async def brake(request: Request) -> Response:
    """Release the brake, or spare those who wait: as the suspender answers."""
    visit, order = Visit(request), request.path_params["order"]
    form = await read_form(request, "reason")
    if order not in _ORDERS:
        raise HTTPException(404)
    body = {"service": "suspender", "command": f"brake.{order}", "reason": form["reason"]}
    return await carried_out(visit, "/commands", body, PAGE)


async def _switch(
    visit: Visit, to: str, clients: Sequence[str], body: Mapping[str, Any], where: str
) -> Response:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(account_id: str) -> str:
        async with gate:
            return await _refusal(visit, account_id, body)

    refusals = await asyncio.gather(*(one(each) for each in clients))
    done = sum(not each for each in refusals)
    words = "live" if to == "live" else "in shadow"
    lines = [f"{done} of {len(clients)} clients are {words} now."]
    if any(refusals):
        lines.append("; ".join(each for each in refusals if each))
    return visit.go(f"{PAGE}?{where}", *lines, bad=any(refusals))


async def _refusal(visit: Visit, account_id: str, body: Mapping[str, Any]) -> str:
    """Change one client; why that was not done, or blank. The others go on."""
    try:
        await visit.console.api.send("PUT", visit.token, f"/clients/{account_id}/mode", body)
    except ApiRefused as error:
        return f"{account_id}: {error}"
    except ApiAway:
        return f"{account_id}: the API did not answer; look whether it was changed"
    return ""


async def _switched(visit: Visit) -> dict[str, Any] | None:
    """The wave that the address names, with the state of each client; None without one."""
    asked = visit.request.query_params
    named = asked.getlist("client")[:LARGEST]
    if not named:
        return None
    found = await visit.get("/mode/wave", to=_mode(asked.get("to", "")), clients=named)
    return {**found, "states": _states(found), "query": urlencode(asked.multi_items())}


def _states(found: ApiAnswer) -> Counter[str]:
    """How many clients of a wave are in each state; those that were not changed apart."""
    return Counter(
        each["state"] if each["outcome"] == "same" else "unchanged" for each in found["items"]
    )


def _chosen(text: str) -> tuple[str, str]:
    """A client that was ticked, and the outcome that was shown for it."""
    account_id, _, outcome = text.partition(" ")
    return account_id, outcome


def _mode(text: str) -> str:
    return "shadow" if text == "shadow" else "live"


def _size(text: str) -> int:
    return max(1, min(LARGEST, int(text))) if text.isascii() and text.isdigit() else 20
