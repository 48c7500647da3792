"""Authentication of every request, before its body is read."""

import asyncio
import math

import structlog
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from accounts.access.clients.store import PREFIX, ClientAccess
from accounts.access.directory import TokenDirectory
from accounts.access.failed_logins import FailedLogins
from accounts.access.login_counter import FAILURES
from accounts.access.scopes import Caller, Forbidden, check_realm
from accounts.access.tokens import UNGUESSABLE
from accounts.api.errors import error_body, unavailable
from ringfence.transient import TRANSIENT_ERRORS

_WITHOUT_TOKEN = frozenset(
    ("POST", path) for path in ("/v1/sessions", "/v1/client-sessions", "/v1/client-link-requests")
)
"""The requests without a token: they have a password, a link, or a client's address."""

_OWN = "/v1/me"
"""Below it are the routes of clients' sessions, and no others."""

_CLIENT = f"rf_{PREFIX}".encode()

_EXPECTED = "a header `Authorization: Bearer <token>` with a token that is in use"
log = structlog.get_logger()


class BearerAuth:
    """ASGI middleware: 401 without a known bearer token, 429 after many unknown ones.

    A client's session is refused here (403) on every path but its own, so that a route is closed to
    clients whatever it declares. The Caller is in `request.state.caller`, the name of its operator
    in `request.state.who`.
    """

    def __init__(
        self,
        app: ASGIApp,
        directory: TokenDirectory,
        clients: ClientAccess,
        failures: FailedLogins,
    ) -> None:
        self._app = app
        self._directory = directory
        self._clients = clients
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 or 429."""
        if scope["type"] != "http":
            return
        if (scope["method"], scope["path"]) in _WITHOUT_TOKEN:
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("?", 0))[0]
        found = await self._caller(Headers(scope=scope), address)
        if isinstance(found, Caller):
            found = _in_its_realm(found, scope["path"])
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
        if presented.startswith(_CLIENT):
            return await self._client(presented)
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

    async def _client(self, presented: bytes) -> Caller | JSONResponse:
        """The client whose session it is. Sessions end daily, so an unknown one counts as no guess.

        Nothing is gained by guessing 256 bits, and the console's address is that of all clients.
        """
        try:
            found = await self._clients.find(presented)
        except TRANSIENT_ERRORS as error:
            log.warning("a client's session not read", reason=repr(error))
            return unavailable()
        if found is None:
            FAILURES.labels("client").inc()
        return found or _refused()


def _in_its_realm(caller: Caller, path: str) -> Caller | JSONResponse:
    """The caller, or 403 where a client leaves its own routes, or another enters them."""
    try:
        check_realm(caller, own=path == _OWN or path.startswith(f"{_OWN}/"))
    except Forbidden as error:
        body = error_body(error.field, error.value, error.expected, str(error))
        return JSONResponse(body, 403)
    return caller


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
