"""Who is asking: api keys, PHP sessions, and form tokens, on either line of FusionPBX."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from aiohttp import web

from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.things import User
from ringfence_simulators.fusionpbx.web.pages import login_page

ReleaseLine = Literal["5.5", "5.6"]

COOKIE = "PHPSESSID"
SHORTEST_KEY = 31
LOGIN_PATH = "/login.php"


@dataclass
class FormToken:
    """A hidden input; one that was used dies when the next one is made."""

    name: str = field(default_factory=lambda: secrets.token_hex(32))
    value: str = field(default_factory=lambda: secrets.token_hex(32))
    used: bool = False


@dataclass
class Session:
    """A PHP session; `user` is set once it is authorized, and `domain` is the one it acts in."""

    id: str = field(default_factory=lambda: secrets.token_hex(16))
    user: User | None = None
    user_agent: str = ""
    domain: str = ""
    tokens: dict[str, list[FormToken]] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)

    def may(self, right: str) -> bool:
        """Whether its user has a right."""
        return self.user is not None and self.user.may(right)

    def add_message(self, mood: str, message: str) -> None:
        """Show a message on the next page; one that is there already is not shown twice."""
        texts = self.messages.setdefault(mood, [])
        if message and message not in texts:
            texts.append(message)

    def take_messages(self) -> dict[str, list[str]]:
        """The messages by mood, for the page that is about to be shown; each is shown once."""
        texts, self.messages = self.messages, {}
        return texts

    def new_token(self, path: str) -> FormToken:
        """A token for the form on that page; used ones of all pages are dropped."""
        for page, tokens in self.tokens.items():
            self.tokens[page] = [token for token in tokens if not token.used]
        token = FormToken()
        self.tokens.setdefault(path, []).append(token)
        return token

    def accepts(self, path: str, fields: dict[str, str]) -> bool:
        """Whether the fields carry a token of that page."""
        for token in self.tokens.get(path, []):
            if fields.get(token.name) == token.value:
                token.used = True
                return True
        return False


SESSION = web.RequestKey("session", Session)


class FusionPbxLogins:
    """The sessions, and how often somebody logged in (FusionPBX leaves a log row each time)."""

    def __init__(self, pbx: SimulatedFusionPbx, line: ReleaseLine) -> None:
        self._pbx = pbx
        self.line: ReleaseLine = line
        self.sessions: dict[str, Session] = {}
        self.succeeded = 0
        self.failed = 0

    def session_of(self, request: web.Request) -> Session:
        """The session of the request's cookie, or a new one."""
        known = self.sessions.get(request.cookies.get(COOKIE, ""))
        session = known or Session()
        self.sessions[session.id] = session
        request[SESSION] = session
        return session

    def cookies(self) -> Any:
        """An aiohttp middleware that gives a new session's cookie to the client."""

        @web.middleware
        async def hand_out(request: web.Request, handler: Any) -> web.StreamResponse:
            answer: web.StreamResponse = await handler(request)
            session = request.get(SESSION)
            if session is not None and request.cookies.get(COOKIE) != session.id:
                answer.set_cookie(COOKIE, session.id, path="/")
            return answer

        return hand_out

    def check(self, request: web.Request, fields: dict[str, str]) -> web.Response | None:
        """What every page does first. None when the session is authorized, else the answer."""
        session = self.session_of(request)
        agent = request.headers.get("User-Agent", "")
        if session.user is not None:
            if session.user_agent == agent:
                return None
            del self.sessions[session.id]
            return redirect("/logout.php")
        if not fields.get("key"):
            return self.login_form(session)
        if self.line == "5.6" and not session.accepts(LOGIN_PATH, fields):
            return redirect(LOGIN_PATH)
        user = self._find(request, fields)
        if user is None:
            self.failed += 1
            return redirect(f"/?path={quote(request.path, safe='')}")
        session.user, session.user_agent, session.domain = user, agent, user.domain.lower()
        self.succeeded += 1
        return None

    def _find(self, request: web.Request, fields: dict[str, str]) -> User | None:
        domain = (fields.get("domain_name") or request.host).split(":")[0].lower()
        key = fields["key"]
        if len(key) < SHORTEST_KEY:
            return None
        return next(
            (u for u in self._pbx.users if u.api_key == key and u.domain.lower() == domain), None
        )

    def guard(
        self, request: web.Request, fields: dict[str, str], right: str
    ) -> web.Response | None:
        """As `check`, and the page that a user without the right is shown."""
        answer = self.check(request, fields)
        if answer is None and not request[SESSION].may(right):
            return denied()
        return answer

    def login_form(self, session: Session) -> web.Response:
        """The login page, with status 200. The 5.6 line puts a token on it."""
        token = session.new_token(LOGIN_PATH) if self.line == "5.6" else None
        html = login_page((token.name, token.value) if token else None)
        return web.Response(text=html, content_type="text/html")


def redirect(location: str) -> web.Response:
    """A 302."""
    return web.Response(status=302, headers={"Location": location}, content_type="text/html")


def denied() -> web.Response:
    """What FusionPBX shows instead of a page that the user has no right to."""
    return web.Response(text="access denied", content_type="text/html")


def page(html: str) -> web.Response:
    """A page."""
    return web.Response(text=html, content_type="text/html")
