"""One request of a client's browser: asks for the client's own data, and renders the answer."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.api.client import ApiAnswer, ApiAway, ApiRefused, NotLoggedIn
from console.own.session import HOME, end, token_of
from console.web.formats import Formats
from console.web.page import Visit
from console.web.session import ForeignForm

log = structlog.get_logger()
PageHandler = Callable[[Request], Awaitable[Response]]


class OwnVisit(Visit):
    """A request with the client's session, in the client's time zone."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.token = token_of(request)

    async def me(self) -> ApiAnswer:
        """The client. Raises NotLoggedIn without a session."""
        if not self.token:
            raise NotLoggedIn("no session")
        return await self.get("/me")

    def formats_of(self, me: ApiAnswer) -> Formats:
        """How amounts and instants are written for this client."""
        try:
            return self.console.formats.in_zone(str(me["time_zone"]))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return self.console.formats

    def show(
        self, template: str, me: ApiAnswer | None = None, *, status: int = 200, **given: Any
    ) -> Response:
        """A page of the client. Search engines leave it out."""
        formats = self.console.formats if me is None else self.formats_of(me)
        answer = self.render(
            f"own/{template}",
            status=status,
            me=me,
            own=formats,
            company=self.console.company,
            zone=formats.zone_named,
            **given,
        )
        answer.headers["X-Robots-Tag"] = "noindex"
        return answer


def own_page(page: PageHandler) -> PageHandler:
    """A page of a client, with what it shows where the session or the API fails."""

    @wraps(page)
    async def answered(request: Request) -> Response:
        try:
            return await page(request)
        except NotLoggedIn:
            answer = RedirectResponse(f"{HOME}?ended=1", 303)
            end(answer)
            return answer
        except ApiRefused as error:
            title = "There is no such thing" if error.is_unknown else "This was refused"
            return _problem(request, error.status, title, error.problems)
        except ForeignForm:
            lines = ["The form is not of this page. Open the page again, and repeat it."]
            return _problem(request, 403, "Not done", lines)
        except ApiAway as error:
            log.warning("the API did not answer", reason=str(error), path=request.url.path)
            lines = ["The page cannot be shown at the moment. Please try again in a minute."]
            return _problem(request, 503, "No answer", lines)

    return answered


def _problem(request: Request, status: int, title: str, lines: list[str]) -> Response:
    return OwnVisit(request).show("problem.html", status=status, title=title, lines=lines)
