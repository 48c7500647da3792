"""Headers that limit what a page may do in the browser."""

from collections.abc import MutableMapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
}
_NEVER_STORED = (b"cache-control", b"no-store")


class SecurityHeaders:
    """Adds the headers to every response. Pages are never stored; files may be, as they say."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _added(message)
            await send(message)

        await self._app(scope, receive, with_headers)


def _added(message: MutableMapping[str, object]) -> list[tuple[bytes, bytes]]:
    headers = list(message.get("headers") or ())  # type: ignore[call-overload]
    named = {name.lower() for name, _ in headers}
    more = [pair for pair in _HEADERS.items() if pair[0] not in named]
    if b"cache-control" not in named:
        more.append(_NEVER_STORED)
    return [*headers, *more]
