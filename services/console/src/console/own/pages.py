"""The pages of a client: home, calls, one call, statement, prices, mails."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console.api.client import ApiAnswer, ApiRefused
from console.own.opening import landing
from console.own.visit import OwnVisit
from console.web.forms import read_form
from console.web.statement import month_bounds, statement_file

_SHOWN = 25
_LAST = 5
_IN_FILE = 200
LANGUAGES = {"": "as set by the company", "en": "English", "fr": "Français"}
"""Languages of mails that come with the product; a client may have another one."""


async def home(request: Request) -> Response:
    """Balance, state, the last calls and how to pay; without a session how to get a link."""
    visit = OwnVisit(request)
    if not visit.token or "ended" in request.query_params:
        return await landing(request, ended="ended" in request.query_params)
    me, calls = await asyncio.gather(visit.me(), visit.get("/me/calls", limit=_LAST))
    return visit.show("home.html", me, calls=calls, place="home")


async def home_part(request: Request) -> Response:
    """What changes on the first page."""
    visit = OwnVisit(request)
    me, calls = await asyncio.gather(visit.me(), visit.get("/me/calls", limit=_LAST))
    return visit.show("now.html", me, calls=calls)


async def calls(request: Request) -> Response:
    """The client's calls, the newest first."""
    visit = OwnVisit(request)
    cursor = request.query_params.get("cursor", "")
    me, found = await asyncio.gather(
        visit.me(), visit.get("/me/calls", cursor=cursor, limit=_SHOWN)
    )
    return visit.show("calls.html", me, calls=found, place="calls")


async def call(request: Request) -> Response:
    """One call, and how it was priced."""
    visit = OwnVisit(request)
    call_id = request.path_params["call_id"]
    me, found = await asyncio.gather(visit.me(), visit.get(f"/me/calls/{call_id}"))
    return visit.show("call.html", me, call=found, place="calls")


async def statement(request: Request) -> Response:
    """How the balance came about, of a month or from the beginning."""
    visit = OwnVisit(request)
    me = await visit.me()
    month, cursor = (request.query_params.get(name, "") for name in ("month", "cursor"))
    period = month_bounds(month, visit.formats_of(me).zone)
    found = await visit.get("/me/statement", **period, cursor=cursor, limit=_SHOWN)
    return visit.show("statement.html", me, statement=found, month=month, place="statement")


async def statement_csv(request: Request) -> Response:
    """The statement as a file for a spreadsheet, whole, the oldest entry first."""
    visit = OwnVisit(request)
    me = await visit.me()
    month = request.query_params.get("month", "")
    period = month_bounds(month, visit.formats_of(me).zone)

    async def part(cursor: str) -> ApiAnswer:
        return await visit.get("/me/statement", **period, cursor=cursor, limit=_IN_FILE)

    return await statement_file(part, f"statement-{month or 'all'}.csv")


async def prices(request: Request) -> Response:
    """What a minute to a number costs this client."""
    visit = OwnVisit(request)
    number = request.query_params.get("number", "").strip()[:40]
    me = await visit.me()
    found, problems = None, []
    if number:
        try:
            found = await visit.get("/me/prices", number=number)
        except ApiRefused as error:
            problems = error.problems
    status = 422 if problems else 200
    return visit.show(
        "prices.html", me, status=status, found=found, number=number, problems=problems,
        place="prices",
    )  # fmt: skip


async def mails(request: Request) -> Response:
    """Which mails the client gets."""
    visit = OwnVisit(request)
    me = await visit.me()
    return visit.show("mails.html", me, languages=_languages(me), place="mails")


async def change_mails(request: Request) -> Response:
    """Change which mails the client gets."""
    visit = OwnVisit(request)
    form = await read_form(
        request, "wants_mail", "language", "low_balance_threshold", token=visit.token
    )
    body: dict[str, Any] = {
        "wants_mail": bool(form["wants_mail"]),
        "language": form["language"],
        "low_balance_threshold": form["low_balance_threshold"],
    }
    try:
        await visit.console.api.send("PATCH", visit.token, "/me", body)
    except ApiRefused as error:
        return visit.go("/my/mails", *error.problems, bad=True)
    return visit.go("/my/mails", "This is how you get mails from now on.")


def _languages(me: ApiAnswer) -> dict[str, str]:
    """The languages to choose from, with the client's own."""
    own = str(me["mails"]["language"])
    return LANGUAGES if own in LANGUAGES else {**LANGUAGES, own: own}
