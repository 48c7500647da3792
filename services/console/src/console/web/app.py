"""The application: routes, files, and what an error looks like."""

import asyncio

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from console.api.client import Api, ApiAway, ApiRefused, NotLoggedIn
from console.feed.hub import Hub
from console.feed.stream import stream
from console.feed.tail import TopicTail
from console.feed.topics import TopicWatch
from console.own.routes import ROUTES as OWN
from console.pages import calls, client, clients, dead, decks, login, now, servers, topics
from console.pages.settings import routes as settings
from console.web.formats import Formats
from console.web.forms import FileTooLarge
from console.web.headers import SecurityHeaders
from console.web.page import FOLDER, Company, Console, Visit, templates_of
from console.web.session import ForeignForm, end
from ringfence.clock import Clock

log = structlog.get_logger()


def create_app(
    api: Api,
    hub: Hub,
    formats: Formats,
    clock: Clock,
    stop: asyncio.Event,
    watch: TopicWatch,
    tail: TopicTail,
    company: Company | None = None,
) -> Starlette:
    """The pages. `stop` ends the streams of open pages, so that the service can end."""
    app = Starlette(
        routes=[
            Route("/login", login.show, methods=["GET"]),
            Route("/login", login.submit, methods=["POST"]),
            Route("/logout", login.leave, methods=["POST"]),
            Route("/", now.show),
            Route("/now/{part}", now.part),
            Route("/clients", clients.show),
            Route("/clients/{account_id}", client.show),
            Route("/clients/{account_id}/part/{part}", client.part),
            Route("/clients/{account_id}/statement.csv", client.statement_csv),
            Route("/clients/{account_id}/payments", client.pay, methods=["POST"]),
            Route("/clients/{account_id}/orders", client.order, methods=["POST"]),
            Route("/clients/{account_id}/orders/end", client.end_order, methods=["POST"]),
            Route("/calls", calls.find),
            Route("/calls/{call}", calls.show),
            Route("/unrated", calls.unrated),
            Route("/unrated/replay", calls.replay, methods=["POST"]),
            Route("/dead", dead.show),
            Route("/dead/{dead_id}", dead.one),
            Route("/dead/{dead_id}/retry", dead.retry, methods=["POST"]),
            Route("/dead/{dead_id}/drop", dead.drop, methods=["POST"]),
            Route("/servers", servers.show),
            Route("/servers/part/{part}", servers.part),
            Route("/servers/examine", servers.examine, methods=["POST"]),
            Route("/servers/{server_id}", servers.one),
            Route("/servers/{server_id}/pause", servers.pause, methods=["POST"]),
            Route("/servers/{server_id}/resume", servers.resume, methods=["POST"]),
            Route("/servers/{server_id}/inventory", servers.read_again, methods=["POST"]),
            Route("/servers/{server_id}/products", servers.give, methods=["POST"]),
            *settings.ROUTES,
            *decks.ROUTES,
            *topics.ROUTES,
            Route("/stream", stream),
            *OWN,
            Mount("/static", StaticFiles(directory=FOLDER / "static")),
        ],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={
            NotLoggedIn: _to_login,
            ApiRefused: _refused,
            ApiAway: _away,
            ForeignForm: _foreign,
            FileTooLarge: _too_large,
            HTTPException: _unknown,
        },
    )
    app.state.console = Console(
        api, hub, formats, clock, templates_of(formats), watch, tail, company or Company()
    )
    app.state.console.templates.filters["labelled"] = decks.in_words
    app.state.stop = stop
    return app


async def _to_login(request: Request, error: Exception) -> Response:
    """Without a session that the API knows: to the login, and back to this page after it."""
    wanted = request.url.path if request.method == "GET" else "/"
    answer = RedirectResponse(f"/login?next={wanted}" if wanted != "/" else "/login", 303)
    end(answer)
    return answer


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiRefused)
    title = "There is no such thing" if error.is_unknown else "This was refused"
    return Visit(request).render(
        "problem.html", status=error.status, title=title, lines=error.problems
    )


async def _away(request: Request, error: Exception) -> Response:
    log.warning("the API did not answer", reason=str(error), path=request.url.path)
    lines = [
        "The API of accounts does not answer. The page cannot be shown, and a change may or may"
        " not have been made: look before you repeat it.",
    ]
    return Visit(request).render("problem.html", status=503, title="No answer", lines=lines)


async def _foreign(request: Request, error: Exception) -> Response:
    lines = ["The form was not made by a page of this session. Open the page again, and repeat it."]
    return Visit(request).render("problem.html", status=403, title="Not done", lines=lines)


async def _too_large(request: Request, error: Exception) -> Response:
    assert isinstance(error, FileTooLarge)
    lines = [
        f"The file is larger than {error.most // 2**20} MiB, and nothing of it was taken. Save it"
        " as CSV, or leave out sheets and columns that are no prices."
    ]
    return Visit(request).render("problem.html", status=413, title="Too large", lines=lines)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Visit(request).render(
        "problem.html", status=error.status_code, title="There is no such page", lines=[]
    )
