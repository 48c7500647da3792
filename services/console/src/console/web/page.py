"""What a page is given, and how it is rendered."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from console.api.client import Api, ApiAnswer
from console.feed.hub import Hub
from console.feed.tail import TopicTail
from console.feed.topics import TopicWatch
from console.web.formats import Formats, duration, seconds, talk_time
from console.web.session import form_proof, token_of
from ringfence.clock import Clock
from ringfence.version import VERSION

FOLDER = Path(__file__).parents[1]
_RESULT = "ringfence_result"
_LONGEST_RESULT = 1500


@dataclass(frozen=True)
class Company:
    """Whose pages the clients see, as in the mails to them; each part can be empty."""

    name: str = ""
    pay_link: str = ""


@dataclass(frozen=True)
class Console:
    """What all pages use."""

    api: Api
    hub: Hub
    formats: Formats
    clock: Clock
    templates: Environment
    watch: TopicWatch
    tail: TopicTail
    company: Company = Company()


def templates_of(formats: Formats) -> Environment:
    """The templates; every value is escaped, and one that is missing is an error."""
    found = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    found.install_null_translations(newstyle=True)  # type: ignore[attr-defined] # by the extension
    found.filters.update(
        money=formats.money,
        rounded=formats.rounded,
        count=formats.count,
        instant=formats.instant,
        soon=formats.soon,
        talk=talk_time,
        duration=duration,
        seconds=seconds,
        path=lambda text: quote(str(text), safe=""),
    )
    return found


class Visit:
    """One request of a browser: asks the API with its session's token, and renders the answer."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.console: Console = request.app.state.console
        self.token = token_of(request)

    async def get(self, path: str, **query: Any) -> ApiAnswer:
        """The API's answer to a question."""
        return await self.console.api.get(self.token, path, **query)

    def render(self, template: str, *, status: int = 200, zone: str = "", **given: Any) -> Response:
        """A page. A result that the page before it left to be shown is shown once.

        `zone` names the zone of its times, if it is not the operator's.
        """
        console, request = self.console, self.request
        result = _read_result(request.cookies.get(_RESULT, ""))
        values = {
            "at": request.url.path,
            "proof": form_proof(self.token) if self.token else "",
            "result": result,
            "now": console.clock.now(),
            "ago": lambda at: console.formats.ago(at, console.clock.now()),
            "zone": zone or console.formats.zone_named,
            "version": VERSION,
        }
        if taken := values.keys() & given.keys():
            raise ValueError(f"{template}: {', '.join(sorted(taken))} would replace a page's own")
        text = console.templates.get_template(template).render(values | given)
        answer = HTMLResponse(text, status_code=status)
        if result:
            answer.delete_cookie(_RESULT, path="/")
        return answer

    def go(self, path: str, *lines: str, bad: bool = False) -> Response:
        """Send the browser to another page, and have it show what happened."""
        answer = RedirectResponse(path, status_code=303)
        if lines:
            shown = json.dumps(
                {"bad": bad, "lines": [line[: _LONGEST_RESULT // 3] for line in lines[:3]]}
            )
            answer.set_cookie(
                _RESULT, urlsafe_b64encode(shown.encode()).decode(), max_age=60, path="/",
                httponly=True, samesite="strict",
            )  # fmt: skip
        return answer


def _read_result(text: str) -> dict[str, Any] | None:
    """What a page is to show once; None for a cookie that we did not write."""
    try:
        found = json.loads(urlsafe_b64decode(text.encode()))
        return {"bad": bool(found["bad"]), "lines": [str(line) for line in found["lines"]]}
    except (ValueError, KeyError, TypeError):
        return None
