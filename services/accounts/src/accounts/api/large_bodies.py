"""Answers 413 in the form of all errors: the framework answers it in plain text."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class LargeBodies:
    """An ASGI application around another: a 413 that is no JSON becomes that of `answer`."""

    def __init__(self, app: ASGIApp, answer: Callable[[], Response]) -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and replace such a response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        replaced = False

        async def watched(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and _is_plain_413(message):
                replaced = True
                await self._answer()(scope, receive, send)
            elif not replaced:
                await send(message)

        await self._app(scope, receive, watched)


def _is_plain_413(message: Message) -> bool:
    kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
    is_json = any(kind.startswith(b"application/json") for kind in kinds)
    return message["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and not is_json
