"""Authentication of every request, before its body is read."""

from collections.abc import Sequence

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from accounts.api.errors import error_body
from accounts.api.tokens import ApiUser, who_is


class BearerAuth:
    """ASGI middleware: 401 without a known bearer token.

    The name that belongs to the token is in `request.state.who`.
    """

    def __init__(self, app: ASGIApp, users: Sequence[ApiUser]) -> None:
        self._app = app
        self._users = users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        who = self._user_of(headers)
        if who is None:
            expected = "a header `Authorization: Bearer <token>` with a token that is in use"
            refused = error_body("Authorization", None, expected)
            answer = JSONResponse(refused, 401, {"WWW-Authenticate": "Bearer"})
            await answer(scope, receive, send)
            return
        scope.setdefault("state", {})["who"] = who
        await self._app(scope, receive, send)

    def _user_of(self, headers: Headers) -> str | None:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            return None
        return who_is(self._users, token.strip().encode("latin-1"))
