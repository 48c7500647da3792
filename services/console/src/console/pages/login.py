"""Log in and out: by name and password, by a link that is valid once, or with an API token."""

import contextlib
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.api.client import ApiRefused, NotLoggedIn
from console.web.forms import fields_of, read_form
from console.web.page import Visit
from console.web.session import begin, check_origin, end

_NOT_ACCEPTED = (
    "This was not accepted. Check what you typed; a link is valid once, for 15 minutes, and a token"
    " until it ends or is revoked. An administrator gives you a new one."
)


async def show(request: Request) -> Response:
    """The form."""
    to = _inside(request.query_params.get("next"))
    return Visit(request).render("login.html", problem="", to=to)


async def submit(request: Request) -> Response:
    """Begin a session, and go on to the page that was asked for."""
    check_origin(request)
    visit = Visit(request)
    form = await fields_of(request, "name", "password", "link", "token", "to")
    to = _inside(form["to"])
    try:
        token = form["token"] or await _new_session(visit, form)
        await visit.console.api.get(token, "/sessions/current")
    except NotLoggedIn:
        problem = _NOT_ACCEPTED
    except ApiRefused as error:
        problem = str(error)
    else:
        answer = RedirectResponse(to, 303)
        begin(answer, request, token)
        return answer
    return visit.render("login.html", status=401, problem=problem, to=to)


async def leave(request: Request) -> Response:
    """End the session, at the API and in the browser. A token stays valid: it is no session."""
    visit = Visit(request)
    await read_form(request)
    with contextlib.suppress(ApiRefused, NotLoggedIn):
        await visit.console.api.send("DELETE", visit.token, "/sessions/current")
    answer = RedirectResponse("/login", 303)
    end(answer)
    return answer


async def _new_session(visit: Visit, form: dict[str, str]) -> str:
    """Open a session at the API; returns its token."""
    names = ("link",) if form["link"] else ("name", "password")
    body = {name: form[name] for name in names}
    # Failed logins are counted by address: that of the browser, not of the console.
    client = visit.request.client
    headers = {"X-Forwarded-For": client.host} if client else {}
    found = await visit.console.api.send("POST", "", "/sessions", body, headers)
    return str(found["secret"])


def _inside(path: str | None) -> str:
    """A path of the console; the first page for anything that leads elsewhere."""
    parts = urlsplit(path or "/")
    inside = parts.path.startswith("/") and not (path or "").startswith(("//", "/\\"))
    return parts.path if inside and not (parts.scheme or parts.netloc) else "/"
