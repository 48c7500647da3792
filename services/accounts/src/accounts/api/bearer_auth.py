"""Authentication of every request, before its body is read."""

import asyncio
import math

import structlog
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from accounts.access.directory import TokenDirectory
from accounts.access.failed_logins import FailedLogins
from accounts.access.login_counter import FAILURES
from accounts.access.scopes import Caller
from accounts.access.tokens import UNGUESSABLE
from accounts.api.errors import error_body

_LOGIN = ("POST", "/v1/sessions")
"""The one request without a token: it has a password, or a link."""

_EXPECTED = "a header `Authorization: Bearer <token>` with a token that is in use"
log = structlog.get_logger()


class BearerAuth:
    """ASGI middleware: 401 without a known bearer token, 429 after many unknown ones.

    The Caller is in `request.state.caller`, the name of its operator in `request.state.who`.
    """

    def __init__(self, app: ASGIApp, directory: TokenDirectory, failures: FailedLogins) -> None:
        self._app = app
        self._directory = directory
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 or 429."""
        if scope["type"] != "http":
            return
        if (scope["method"], scope["path"]) == _LOGIN:
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("?", 0))[0]
        found = await self._caller(Headers(scope=scope), address)
        if isinstance(found, JSONResponse):
            await found(scope, receive, send)
            return
        scope.setdefault("state", {}).update(caller=found, who=found.name)
        await self._app(scope, receive, send)

    async def _caller(self, headers: Headers, address: str) -> Caller | JSONResponse:
        kind, _, text = headers.get("authorization", "").partition(" ")
        presented = text.strip().encode("latin-1")
        if kind.lower() != "bearer" or not presented:
            FAILURES.labels("missing").inc()
            return _refused()
        now = asyncio.get_running_loop().time()
        wait_s = self._failures.wait_s(address, now)
        if wait_s and len(presented) < UNGUESSABLE:
            FAILURES.labels("limited").inc()
            self._failures.failed(address, now)
            return _limited(wait_s)
        caller = await self._directory.find(presented)
        if caller is not None:
            return caller
        FAILURES.labels("unknown").inc()
        if self._failures.failed(address, now):
            log.warning("login refused", address=address)
        return _limited(wait_s) if wait_s else _refused()


def _refused() -> JSONResponse:
    body = error_body("Authorization", None, _EXPECTED)
    return JSONResponse(body, 401, {"WWW-Authenticate": "Bearer"})


def _limited(wait_s: float) -> JSONResponse:
    seconds = math.ceil(wait_s)
    message = (
        f"too many unknown tokens came from this address: wait {seconds} s, then use a token that"
        " is in use"
    )
    body = error_body("Authorization", None, _EXPECTED, message)
    return JSONResponse(body, 429, {"Retry-After": str(seconds)})
