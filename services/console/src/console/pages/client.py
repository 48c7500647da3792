"""One client: what is on and why, statement, calls, mails, who did what; and what to do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.api.client import ApiAnswer, ApiRefused
from console.web.forms import read_form
from console.web.page import Visit
from console.web.statement import month_bounds, statement_file

ORDERS = {
    "manual": "Keep off",
    "forced": "Keep off, whatever else says on",
    "exempt": "Keep on, without credit too",
}
"""The orders that a person gives, in words (docs/domain/billing.md, section 7)."""

_SHOWN = 25
_IN_FILE = 200


async def show(request: Request) -> Response:
    """The whole page."""
    visit = Visit(request)
    path = _path(request)
    client, state, tabs = await asyncio.gather(
        visit.get(path), _state(visit, path), _tab(visit, path, "statement")
    )
    return visit.render(
        "client.html", client=client, **state, **tabs, tab="statement", orders=ORDERS, key=uuid4()
    )


async def part(request: Request) -> Response:
    """What changes on it: the state, or one of the lists."""
    visit, path, name = Visit(request), _path(request), request.path_params["part"]
    if name == "state":
        client, state = await asyncio.gather(visit.get(path), _state(visit, path))
        return visit.render("client/state.html", client=client, **state, orders=ORDERS)
    if name not in _LISTS:
        raise HTTPException(404)
    client, tab = await asyncio.gather(visit.get(path), _tab(visit, path, name))
    return visit.render(f"client/{name}.html", client=client, **tab, tab=name)


async def _state(visit: Visit, path: str) -> dict[str, Any]:
    why, burn, reaction = await asyncio.gather(
        visit.get(f"{path}/explanation"),
        visit.get(f"{path}/burn"),
        visit.get(f"{path}/reaction"),
    )
    return {"why": why, "burn": burn, "reaction": reaction}


async def _statement(visit: Visit, path: str) -> dict[str, Any]:
    asked = visit.request.query_params
    month = asked.get("month", "")
    period = month_bounds(month, visit.console.formats.zone)
    found = await visit.get(
        f"{path}/statement", **period, cursor=asked.get("cursor", ""), limit=_SHOWN
    )
    return {"statement": found, "month": month}


async def _calls(visit: Visit, path: str) -> dict[str, Any]:
    cursor = visit.request.query_params.get("cursor", "")
    return {"calls": await visit.get(f"{path}/calls", cursor=cursor, limit=_SHOWN)}


async def _mails(visit: Visit, path: str) -> dict[str, Any]:
    cursor = visit.request.query_params.get("cursor", "")
    account_id = visit.request.path_params["account_id"]
    return {"mails": await visit.get("/notices", client=account_id, cursor=cursor, limit=_SHOWN)}


async def _history(visit: Visit, path: str) -> dict[str, Any]:
    cursor = visit.request.query_params.get("cursor", "")
    return {"history": await visit.get(f"{path}/audit", cursor=cursor, limit=_SHOWN)}


_LISTS: dict[str, Callable[[Visit, str], Awaitable[dict[str, Any]]]] = {
    "statement": _statement,
    "calls": _calls,
    "mails": _mails,
    "history": _history,
}


async def _tab(visit: Visit, path: str, name: str) -> dict[str, Any]:
    return await _LISTS[name](visit, path)


async def statement_csv(request: Request) -> Response:
    """The entries of the statement as a file for a spreadsheet, whole, the oldest first."""
    visit, path = Visit(request), _path(request)
    month = request.query_params.get("month", "")
    period = month_bounds(month, visit.console.formats.zone)

    async def part(cursor: str) -> ApiAnswer:
        return await visit.get(f"{path}/statement", **period, cursor=cursor, limit=_IN_FILE)

    return await statement_file(part, f"{request.path_params['account_id']}-{month or 'all'}.csv")


async def pay(request: Request) -> Response:
    """Enter a top-up, an adjustment or a refund, once: the form has a key of its own."""
    visit, path = Visit(request), _path(request)
    form = await read_form(request, "amount", "kind", "reference", "key", "payment")
    body = {name: form[name] for name in ("amount", "kind", "reference")}
    if form["payment"]:
        body["payment"] = form["payment"]
    try:
        found = await visit.console.api.send(
            "POST", visit.token, f"{path}/payments", body, {"Idempotency-Key": form["key"]}
        )
    except ApiRefused as error:
        return visit.go(path, *error.problems, bad=True)
    return visit.go(path, *_result_of(found, f"{form['kind']} of {form['amount']} is entered"))


async def order(request: Request) -> Response:
    """Keep the client, or one product, on or off, with a reason and an end."""
    visit, path = Visit(request), _path(request)
    form = await read_form(request, "kind", "product", "reason", "until")
    body = {name: form[name] or None for name in ("product", "until")} | {"reason": form["reason"]}
    if form["kind"] not in ORDERS:
        return visit.go(path, "Choose what to keep.", bad=True)
    return await _changed(visit, "PUT", f"{path}/orders/{form['kind']}", body)


async def end_order(request: Request) -> Response:
    """End an order."""
    visit, path = Visit(request), _path(request)
    form = await read_form(request, "kind", "product", "reason")
    asked = f"?reason={_quoted(form['reason'] or 'ended in the console')}"
    if form["product"]:
        asked += f"&product={_quoted(form['product'])}"
    if form["kind"] not in ORDERS:
        return visit.go(path, "There is no such order.", bad=True)
    return await _changed(visit, "DELETE", f"{path}/orders/{form['kind']}{asked}", None)


async def _changed(visit: Visit, method: str, path: str, body: ApiAnswer | None) -> Response:
    page = _path(visit.request)
    try:
        found = await visit.console.api.send(method, visit.token, path, body)
    except ApiRefused as error:
        return visit.go(page, *error.problems, bad=True)
    return visit.go(page, *_result_of(found, "Done"))


def _result_of(found: ApiAnswer, otherwise: str) -> list[str]:
    """What the API says that happens, and its warnings."""
    return [str(found.get("what_happens") or otherwise), *map(str, found.get("warnings") or ())]


def _path(request: Request) -> str:
    return f"/clients/{_quoted(request.path_params['account_id'])}"


def _quoted(text: str) -> str:
    return quote(text, safe="")
