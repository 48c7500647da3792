"""Dead records: what could not be read or done, why, and what to do with each."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from console.web.commands import carried_out
from console.web.forms import read_form
from console.web.page import Visit

_PAGE = 50
STATES = ("dead", "retried", "dropped")


async def show(request: Request) -> Response:
    """The records, the newest first; at first those that nobody has decided about."""
    visit = Visit(request)
    asked = request.query_params
    state = asked.get("state", "dead")
    found = await visit.get("/dead", state=state, cursor=asked.get("cursor", ""), limit=_PAGE)
    return visit.render("dead.html", found=found, state=state, states=STATES)


async def one(request: Request) -> Response:
    """One record with its content."""
    visit = Visit(request)
    return visit.render("dead_record.html", record=await visit.get(_path(request)))


async def retry(request: Request) -> Response:
    """Have its consumer handle the record again, and show what came of it."""
    visit = Visit(request)
    form = await read_form(request, "reason")
    return await carried_out(visit, f"{_path(request)}/retry", form, _path(request))


async def drop(request: Request) -> Response:
    """Do nothing more with the record, with a reason."""
    visit = Visit(request)
    form = await read_form(request, "reason")
    if not form["reason"]:
        problem = "reason: say why the record may be dropped; the history keeps it"
        return visit.go(_path(request), problem, bad=True)
    return await carried_out(visit, f"{_path(request)}/drop", form, _path(request))


def _path(request: Request) -> str:
    return f"/dead/{quote(request.path_params['dead_id'], safe='')}"
