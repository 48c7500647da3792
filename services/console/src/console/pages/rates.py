"""Rates: the tariffs, the prices and versions of one, what differs, and the way back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from console.api.client import ApiAnswer, ApiRefused
from console.web.forms import local_instant, read_form
from console.web.page import Visit

_PAGE = 50
_LARGEST = 10
_LONGEST_PREFIX = 15
KINDS = ("added", "removed", "dearer", "cheaper", "changed")
_WRITTEN_WITH = str.maketrans("", "", " +-()./")


async def show(request: Request) -> Response:
    """All tariffs, and the form for the file of a new one."""
    visit = Visit(request)
    return visit.render("rates.html", tariffs=await visit.get("/tariffs"))


async def one(request: Request) -> Response:
    """One tariff: its prices, those of a number, its versions, its files that wait."""
    visit, path, asked = Visit(request), tariff_path(request), request.query_params
    number = asked.get("number", "").translate(_WRITTEN_WITH)
    chosen = asked.get("version", "")
    # Which version is shown is decided once: a new one may come into force between questions.
    version = await visit.get(f"{path}/version", version=chosen)
    shown = version["version_id"]
    is_number = number.isascii() and number.isdecimal()
    rows, versions, decks, layout, match = await asyncio.gather(
        visit.get(
            f"{path}/rates",
            version=shown,
            starts=number[:_LONGEST_PREFIX] if is_number else "",
            cursor=asked.get("cursor", ""),
            limit=_PAGE,
        ),
        visit.get(f"{path}/versions"),
        visit.get(f"{path}/decks"),
        visit.get(f"{path}/layout"),
        _match(visit, path, number, shown),
    )
    return visit.render(
        "rate.html", shown=version, versions=versions["items"], rows=rows, number=number,
        match=match, is_number=is_number or not number, decks=decks["items"], layout=layout,
        chosen=chosen, tariff_id=request.path_params["tariff_id"],
    )  # fmt: skip


async def _match(visit: Visit, path: str, number: str, version: int) -> ApiAnswer | None:
    if not (number.isascii() and number.isdecimal()):
        return None
    return await visit.get(f"{path}/rate", number=number[:40], version=version)


async def changes(request: Request) -> Response:
    """How one version differs from another, row by row."""
    visit, path, asked = Visit(request), tariff_path(request), request.query_params
    old, new, kind = asked.get("old", ""), asked.get("new", ""), asked.get("kind", "")
    diff, rows = await asyncio.gather(
        visit.get(f"{path}/diff", old=old, new=new, largest=0),
        visit.get(
            f"{path}/changes", old=old, new=new, kind=kind, limit=_PAGE,
            cursor=asked.get("cursor", ""),
        ),
    )  # fmt: skip
    return visit.render(
        "rates/changes.html", tariff_id=request.path_params["tariff_id"], diff=diff, rows=rows,
        old=old, new=new, kind=kind, kinds=KINDS,
    )  # fmt: skip


async def ask_rollback(request: Request) -> Response:
    """What the rows of an older version would change."""
    visit, asked = Visit(request), request.query_params
    page = f"/rates/{tariff_id(request)}"
    to, at = asked.get("to", ""), asked.get("effective_from", "")
    try:
        body = {**_rollback(visit, to, at), "dry_run": True, "largest": _LARGEST}
        found = await visit.console.api.compute(
            "POST", visit.token, f"{tariff_path(request)}/rollback", body
        )
    except ApiRefused as error:
        return visit.go(page, *error.problems, bad=True)
    return visit.render("rates/rollback.html", found=found, to=to, wanted_at=at)


async def roll_back(request: Request) -> Response:
    """Make a new version with the rows of an older one."""
    visit, page = Visit(request), f"/rates/{tariff_id(request)}"
    form = await read_form(request, "to", "effective_from", "base")
    try:
        body = _rollback(visit, form["to"], form["effective_from"]) | {"base": form["base"]}
        found = await visit.console.api.compute(
            "POST", visit.token, f"{tariff_path(request)}/rollback", body
        )
    except ApiRefused as error:
        return visit.go(page, *error.problems, bad=True)
    return visit.go(page, made(visit, found), *found["warnings"])


def _rollback(visit: Visit, to: str, at: str) -> dict[str, object]:
    return {"to": to, **({"effective_from": instant_asked(visit, at)} if at else {})}


async def export(request: Request) -> Response:
    """A version as a file, in pieces."""
    visit = Visit(request)
    asked = request.query_params.get("version", "")
    path = f"{tariff_path(request)}/export" + (f"?version={quote(asked)}" if asked else "")
    stack = AsyncExitStack()
    pieces = await stack.enter_async_context(visit.console.api.file(visit.token, path))

    async def sent() -> AsyncIterator[bytes]:
        async with stack:
            async for piece in pieces:
                yield piece

    name = f"{tariff_id(request)}{'-' + quote(asked) if asked else ''}.csv"
    return StreamingResponse(
        sent(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def drop_layout(request: Request) -> Response:
    """Forget how the carrier's files are laid out."""
    visit, page = Visit(request), f"/rates/{tariff_id(request)}"
    await read_form(request)
    try:
        await visit.console.api.send("DELETE", visit.token, f"{tariff_path(request)}/layout")
    except ApiRefused as error:
        return visit.go(page, *error.problems, bad=True)
    return visit.go(page, "How the files are laid out is forgotten: the next one is asked about.")


def made(visit: Visit, version: ApiAnswer) -> str:
    """What a new version does, in words."""
    if not version["new"]:
        return "Nothing to do: these prices are in force from then on already."
    at, rows = visit.console.formats.instant(version["effective_from"]), version["rows"]
    return (
        f"{version['tariff_id']}: calls from {at} on are priced by version"
        f" {version['version_id']}, with {rows} prefix{'' if rows == 1 else 'es'}."
    )


def instant_asked(visit: Visit, text: str) -> str:
    """A time of a form as the API takes it. Raises ApiRefused for what is no time."""
    try:
        return local_instant(text, visit.console.formats.zone)
    except ValueError:
        problem = f"in force from: got {text!r}, expected a time such as 2026-12-01T17:00"
        raise ApiRefused(422, [problem]) from None


def tariff_id(request: Request) -> str:
    """The tariff's id as a part of an address."""
    return quote(request.path_params["tariff_id"], safe="")


def tariff_path(request: Request) -> str:
    """The tariff's path in the API."""
    return f"/tariffs/{tariff_id(request)}"
