"""The gate before every request: who asks, and how much may be sent. Before anything is read."""

import re
from collections.abc import Sequence

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from accounts.api.errors import error_body
from accounts.tokens import ApiUser, who_is

MAX_BODY = 1024 * 1024
MAX_TARIFF = 100 * 1024 * 1024
_TARIFF = re.compile(r"/v1/tariffs/[^/]+/versions/?")


class Gate:
    """ASGI middleware: 401 without a known bearer token, 413 for a body above its bound.

    The name that belongs to the token stands in `request.state.who`.
    """

    def __init__(self, app: ASGIApp, users: Sequence[ApiUser]) -> None:
        self._app = app
        self._users = users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        who = self._known(headers)
        if who is None:
            expected = "a header `Authorization: Bearer <token>` with a token that is in use"
            refused = error_body("Authorization", None, expected)
            answer = JSONResponse(refused, 401, {"WWW-Authenticate": "Bearer"})
            await answer(scope, receive, send)
            return
        limit = MAX_TARIFF if _TARIFF.fullmatch(scope["path"]) else MAX_BODY
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            await JSONResponse(_too_large(limit), 413)(scope, receive, send)
            return
        scope.setdefault("state", {})["who"] = who
        await self._app(scope, _bounded(receive, limit), send)

    def _known(self, headers: Headers) -> str | None:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            return None
        return who_is(self._users, token.strip().encode("latin-1"))


def _bounded(receive: Receive, limit: int) -> Receive:
    """`receive`, counting: a body whose length was not declared is cut off at the bound too."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413, _too_large(limit))
        return message

    return counted


def _too_large(limit: int) -> dict[str, object]:
    return error_body("body", None, f"at most {limit // (1024 * 1024)} MiB")
