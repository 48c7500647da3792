"""Metrics of requests: how many, with which status, and how long they take.

A request is counted under the template of its route (`/clients/{account_id}`, below /v1), never
under its path: a path holds a client's id, and anybody can invent paths without limit.
"""

import time

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Counter(
    "ringfence_api_requests_total",
    "Requests answered, by method, route template (below /v1) and status; route `none`: refused"
    " before a route was found. Pages for clients (unsubscribe) are not counted.",
    ["method", "route", "status"],
)
SECONDS = Histogram(
    "ringfence_api_seconds",
    "From a request's head read to its answer sent.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_ROUTE = "none"


class RequestCounts:
    """ASGI middleware around everything else, authentication included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and count its status; 500 where no response was sent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", _NO_ROUTE)
            REQUESTS.labels(method, route, str(status)).inc()
            SECONDS.labels(method, route).observe(time.perf_counter() - began)
