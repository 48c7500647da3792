"""Authentication: API keys, PHP sessions and form tokens, for both releases of FusionPBX."""

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
    """A hidden input; a used token is removed when the next one is created."""

    name: str = field(default_factory=lambda: secrets.token_hex(32))
    value: str = field(default_factory=lambda: secrets.token_hex(32))
    used: bool = False


@dataclass
class Session:
    """A PHP session; `user` is set after the login, and `domain` is its current domain.

    `export_columns` are those of the default setting at the login: a change needs a new one.
    """

    id: str = field(default_factory=lambda: secrets.token_hex(16))
    user: User | None = None
    user_agent: str = ""
    domain: str = ""
    tokens: dict[str, list[FormToken]] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)
    export_columns: list[str] = field(default_factory=list)

    def may(self, right: str) -> bool:
        """Whether its user has a right."""
        return self.user is not None and self.user.may(right)

    def add_message(self, mood: str, message: str) -> None:
        """Add a message for the next page, unless the same one is waiting."""
        texts = self.messages.setdefault(mood, [])
        if message and message not in texts:
            texts.append(message)

    def take_messages(self) -> dict[str, list[str]]:
        """Remove and return the messages by mood, for the next page."""
        texts, self.messages = self.messages, {}
        return texts

    def new_token(self, path: str) -> FormToken:
        """A new token for the form on that page; used tokens of all pages are removed."""
        for page, tokens in self.tokens.items():
            self.tokens[page] = [token for token in tokens if not token.used]
        token = FormToken()
        self.tokens.setdefault(path, []).append(token)
        return token

    def accepts(self, path: str, fields: dict[str, str]) -> bool:
        """Whether the fields contain a token of that page, which then is used."""
        for token in self.tokens.get(path, []):
            if fields.get(token.name) == token.value:
                token.used = True
                return True
        return False


SESSION = web.RequestKey("session", Session)


class FusionPbxLogins:
    """The sessions, and the numbers of logins (FusionPBX logs a row for each)."""

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
        """An aiohttp middleware that sets the cookie of a new session."""

        @web.middleware
        async def hand_out(request: web.Request, handler: Any) -> web.StreamResponse:
            answer: web.StreamResponse = await handler(request)
            session = request.get(SESSION)
            if session is not None and request.cookies.get(COOKIE) != session.id:
                answer.set_cookie(COOKIE, session.id, path="/")
            return answer

        return hand_out

    def check(self, request: web.Request, fields: dict[str, str]) -> web.Response | None:
        """Authenticate a request, as every page does. None if logged in, else the response."""
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
        session.export_columns = self._pbx.export_columns()
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
        """As `check`, and access denied for a user without the right."""
        answer = self.check(request, fields)
        if answer is None and not request[SESSION].may(right):
            return denied()
        return answer

    def login_form(self, session: Session) -> web.Response:
        """The login page, with status 200. Release 5.6 adds a form token."""
        token = session.new_token(LOGIN_PATH) if self.line == "5.6" else None
        html = login_page((token.name, token.value) if token else None)
        return web.Response(text=html, content_type="text/html")


def redirect(location: str) -> web.Response:
    """A 302."""
    return web.Response(status=302, headers={"Location": location}, content_type="text/html")


def denied() -> web.Response:
    """The page that FusionPBX shows to a user without the right."""
    return web.Response(text="access denied", content_type="text/html")


def page(html: str) -> web.Response:
    """A page."""
    return web.Response(text=html, content_type="text/html")
