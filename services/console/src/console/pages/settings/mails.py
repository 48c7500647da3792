"""Mails: each template as a client would see it, and a test copy to an address."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from console.pages.settings.visitor import may, session_of
from console.web.commands import carried_out
from console.web.forms import read_form
from console.web.headers import POLICY
from console.web.page import Visit

PAGE = "/settings/mails"
_WITH_FRAME = f"{POLICY}; frame-src 'self'"
_IN_FRAME = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'none';"
    " base-uri 'none'; sandbox"
)
"""A mail has its styles inside. In the frame it may do nothing else: no script, no picture, no
form; and it is of no origin, so that it has no session."""


async def show(request: Request) -> Response:
    """All templates."""
    visit = Visit(request)
    found = await visit.get("/mail-templates")
    return visit.render("settings/mails.html", section="mails", found=found["items"])


async def one(request: Request) -> Response:
    """One template, as a client would see the mail; and where it is edited."""
    visit = Visit(request)
    found, session = await visit.get(_api(request)), await session_of(visit)
    page = visit.render(
        "settings/mail.html",
        section="mails",
        mail=found,
        page=_page(request),
        may_send=may(session, "operate"),
    )
    page.headers["content-security-policy"] = _WITH_FRAME
    return page


async def body(request: Request) -> Response:
    """The HTML part of the mail, for the frame of its page."""
    found = await Visit(request).get(_api(request))
    return HTMLResponse(found["html"], headers={"content-security-policy": _IN_FRAME})


async def test(request: Request) -> Response:
    """Send a test copy, and show what the mail server answered."""
    visit = Visit(request)
    form = await read_form(request, "to", "client")
    given = {"to": form["to"]} | ({"client": form["client"]} if form["client"] else {})
    return await carried_out(visit, f"{_api(request)}/test", given, _page(request))


def _names(request: Request) -> str:
    named = request.path_params
    return f"{quote(named['template'], safe='')}/{quote(named['language'], safe='')}"


def _api(request: Request) -> str:
    return f"/mail-templates/{_names(request)}"


def _page(request: Request) -> str:
    return f"{PAGE}/{_names(request)}"
