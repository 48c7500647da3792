"""What the simulators' `/_sim/` controls share: JSON, errors that explain, load that is counted."""

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
    """A control's answer."""
    return web.Response(body=orjson.dumps(value), content_type="application/json")


@web.middleware
async def explain_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """A mistake in a control request is a 400 that says what was wrong."""
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
    """The requests to everything but `/_sim/`: how many by path, and how long each waits.

    `busiest` is the largest number of requests that were under way at once.
    """

    def __init__(self, latency_s: Callable[[], float]) -> None:
        self._latency_s = latency_s
        self._under_way = 0
        self.requests: Counter[str] = Counter()
        self.busiest = 0

    def middleware(self) -> Any:
        """An aiohttp middleware that counts, and waits for the latency before anything else."""

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
        """Count from zero again."""
        self.requests.clear()
        self.busiest = self._under_way

    def state(self) -> dict[str, Any]:
        """The counts, as `/_sim/state` shows them."""
        return {"requests": dict(self.requests), "busiest": self.busiest}
