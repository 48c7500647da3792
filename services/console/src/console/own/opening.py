"""How a client opens its page: by a link, and what it sees when a link is valid no more."""

import contextlib
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.api.client import ApiAnswer, ApiRefused, NotLoggedIn
from console.own.session import HOME, begin, end
from console.own.visit import OwnVisit
from console.web.forms import fields_of, read_form
from console.web.page import Visit
from console.web.session import check_origin

_SEEN_FOR_S = 900


async def landing(request: Request, *, ended: bool = False, status: int = 200) -> Response:
    """What is seen without a session. The script sends the link that the address carries.

    So a program that only looks at links in mails opens nothing, and no server's log has the link.
    """
    return OwnVisit(request).show("opening.html", status=status, ended=ended, asked="")


async def open_page(request: Request) -> Response:
    """Begin a session by a link, and go on to the page."""
    check_origin(request)
    visit = OwnVisit(request)
    form = await fields_of(request, "link")
    secret = form["link"].rpartition("#")[2]
    try:
        found = await visit.console.api.send(
            "POST", "", "/client-sessions", {"link": secret}, _from(request)
        )
    except NotLoggedIn:
        return await landing(request, ended=True, status=401)
    answer = RedirectResponse(HOME, 303)
    _begin(answer, request, found)
    return answer


async def request_link(request: Request) -> Response:
    """Have a link mailed to the address on file; the answer is the same for every address."""
    check_origin(request)
    visit = OwnVisit(request)
    form = await fields_of(request, "email")
    found = await visit.console.api.send(
        "POST", "", "/client-link-requests", {"email": form["email"]}, _from(request)
    )
    return visit.show("opening.html", ended=False, asked=found["words"])


async def leave(request: Request) -> Response:
    """End the session, at the API and in the browser."""
    visit = OwnVisit(request)
    await read_form(request, token=visit.token)
    with contextlib.suppress(ApiRefused, NotLoggedIn):
        await visit.console.api.send("DELETE", visit.token, "/me/session")
    answer = visit.show("opening.html", ended=False, asked="")
    end(answer)
    return answer


async def see_as_client(request: Request) -> Response:
    """An operator opens the page of a client, to look alone; the API records who did."""
    visit = Visit(request)
    await read_form(request)
    path = f"/clients/{quote(request.path_params['account_id'], safe='')}"
    body = {"valid_s": _SEEN_FOR_S, "look_only": True}
    try:
        link = await visit.console.api.send("POST", visit.token, f"{path}/links", body)
        found = await visit.console.api.send(
            "POST", "", "/client-sessions", {"link": link["secret"]}, _from(request)
        )
    except ApiRefused as error:
        return visit.go(path, *error.problems, bad=True)
    answer = RedirectResponse(HOME, 303)
    _begin(answer, request, found)
    return answer


def _begin(answer: Response, request: Request, found: ApiAnswer) -> None:
    ends_at = datetime.fromisoformat(found["expires_at"])
    seconds = int((ends_at - datetime.now(UTC)).total_seconds())
    begin(answer, request, str(found["secret"]), seconds)


def _from(request: Request) -> dict[str, str]:
    """Failures and requests are counted by address: that of the browser, not of the console."""
    return {"X-Forwarded-For": request.client.host} if request.client else {}
