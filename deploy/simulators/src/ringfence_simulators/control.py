"""What the simulators' `/_sim/` controls share: JSON, error responses, and request counts."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web


async def body_of(request: web.Request) -> Any:
    """A control request's JSON."""
    return orjson.loads(await request.read())


def json_answer(value: object) -> web.Response:
    """The response of a control."""
    return web.Response(body=orjson.dumps(value), content_type="application/json")


@web.middleware
async def explain_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Middleware: reply to an invalid control request with 400 and the reason."""
    if not request.path.startswith("/_sim/"):
        answer: web.StreamResponse = await handler(request)
        return answer
    try:
        answer = await handler(request)
    except (KeyError, TypeError, ValueError) as error:
        answer = json_answer({"error": f"{type(error).__name__}: {error}"})
        answer.set_status(400)
    return answer


class RequestLoad:
    """Counts the requests to all paths except `/_sim/`, and delays each by a latency.

    `busiest` is the largest number of concurrent requests.
    """

    def __init__(self, latency_s: Callable[[], float]) -> None:
        self._latency_s = latency_s
        self._under_way = 0
        self.requests: Counter[str] = Counter()
        self.busiest = 0

    def middleware(self) -> Any:
        """An aiohttp middleware that counts each request and waits for the latency first."""

        @web.middleware
        async def load(request: web.Request, handler: Any) -> web.StreamResponse:
            if request.path.startswith("/_sim/"):
                answer: web.StreamResponse = await handler(request)
                return answer
            self.requests[f"{request.method} {request.path}"] += 1
            self._under_way += 1
            self.busiest = max(self.busiest, self._under_way)
            try:
                if latency_s := self._latency_s():
                    await asyncio.sleep(latency_s)
                answer = await handler(request)
            finally:
                self._under_way -= 1
            return answer

        return load

    def clear(self) -> None:
        """Reset the counts."""
        self.requests.clear()
        self.busiest = self._under_way

    def state(self) -> dict[str, Any]:
        """The counts, as `/_sim/state` shows them."""
        return {"requests": dict(self.requests), "busiest": self.busiest}
