"""Log in and out with an API token, whose scopes are what its holder may do here."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.api.client import ApiRefused, NotLoggedIn
from console.web.forms import fields_of, read_form
from console.web.page import Visit
from console.web.session import begin, check_origin, end


async def show(request: Request) -> Response:
    """The form."""
    to = _inside(request.query_params.get("next"))
    return Visit(request).render("login.html", problem="", to=to)


async def submit(request: Request) -> Response:
    """Begin a session, and go on to the page that was asked for."""
    check_origin(request)
    visit = Visit(request)
    form = await fields_of(request, "token", "to")
    to = _inside(form["to"])
    try:
        await visit.console.api.get(form["token"], "/brake")
    except NotLoggedIn:
        problem = "No such token is in use. It may have ended, or been revoked: ask for a new one."
    except ApiRefused as error:
        problem = str(error)
    else:
        answer = RedirectResponse(to, 303)
        begin(answer, request, form["token"])
        return answer
    return visit.render("login.html", status=401, problem=problem, to=to)


async def leave(request: Request) -> Response:
    """End the session in the browser; the token stays valid until it ends or is revoked."""
    await read_form(request)
    answer = RedirectResponse("/login", 303)
    end(answer)
    return answer


def _inside(path: str | None) -> str:
    """A path of the console; the first page for anything that leads elsewhere."""
    parts = urlsplit(path or "/")
    inside = parts.path.startswith("/") and not (path or "").startswith(("//", "/\\"))
    return parts.path if inside and not (parts.scheme or parts.netloc) else "/"
