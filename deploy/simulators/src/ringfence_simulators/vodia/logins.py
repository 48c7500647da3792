"""Logins and rights: Basic on every request, or a session begun with a password's MD5."""

import secrets
from base64 import b64decode
from binascii import Error
from hashlib import md5
from typing import Any

from aiohttp import web

from ringfence_simulators.vodia.model import SimulatedAccount, SimulatedVodia

SESSION_PATH = "/rest/system/session"


class VodiaLogins:
    """The sessions, and the numbers of accepted and refused logins."""

    def __init__(self, pbx: SimulatedVodia) -> None:
        self._pbx = pbx
        self.sessions: dict[str, SimulatedAccount] = {}
        self.begun = 0
        self.refused = 0
        self.forbidden = 0

    def middleware(self) -> Any:
        """An aiohttp middleware: 401 without valid credentials, 403 without the right."""

        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            refusal = self._refusal(request)
            answer: web.StreamResponse = refusal or await handler(request)
            return answer

        return guard

    def _refusal(self, request: web.Request) -> web.Response | None:
        if not request.path.startswith("/rest/") or request.path == SESSION_PATH:
            return None
        account = self._account(request)
        if account is None:
            self.refused += 1
            return web.Response(status=401, text="Unauthorized")
        if not self._may(account, request):
            self.forbidden += 1
            return web.Response(status=403, text="Forbidden")
        return None

    def _account(self, request: web.Request) -> SimulatedAccount | None:
        login = self._pbx.habits.login
        if login != "basic" and (session := self.sessions.get(request.cookies.get("session", ""))):
            return session
        if login == "session":
            return None
        return self._basic(request.headers.get("Authorization", ""))

    def _basic(self, header: str) -> SimulatedAccount | None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = b64decode(token).decode().partition(":")
        except (Error, UnicodeDecodeError):
            return None
        return next(
            (a for a in self._pbx.accounts if (a.name, a.password) == (name, password)), None
        )

    @staticmethod
    def _may(account: SimulatedAccount, request: web.Request) -> bool:
        parts = request.path.split("/")
        tenant = parts[3].partition("@")[2] if parts[2] == "user" else parts[3]
        return account.api and account.tenant in ("", tenant)

    async def probe(self, _: web.Request) -> web.Response:
        """`GET` the session: a health probe without authentication."""
        return web.json_response("")

    async def begin(self, request: web.Request) -> web.Response:
        """`PUT` the session: a quoted id of 20 characters, or 401."""
        order = await request.json()
        name, _, digest = str(order.get("value", "")).rpartition(" ")
        if order.get("name") == "auth" and self._pbx.habits.login != "basic":
            for account in self._pbx.accounts:
                expected = md5(account.password.encode(), usedforsecurity=False).hexdigest()
                if (account.name, expected) == (name, digest):
                    session = secrets.token_hex(10)
                    self.sessions[session] = account
                    self.begun += 1
                    return web.json_response(session)
        self.refused += 1
        return web.Response(status=401, text="Unauthorized")
