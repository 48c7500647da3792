"""The stream of a page that is open: what happened, as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from console.api.client import ApiAway, ApiRefused, NotLoggedIn
from console.feed.words import Happening
from console.web.page import Visit

_SILENCE_S = 15.0
"""After so long without an event a comment is sent, so that a closed connection is noticed."""

_CHECKED_AGAIN_S = 60.0


async def stream(request: Request) -> Response:
    """Send events until the browser leaves, the session ends, or the service stops.

    `listening` is the first, and comes again after events were lost: what a page shows may be
    older than what follows.
    """
    visit = Visit(request)
    await _check(visit)
    return StreamingResponse(
        _events(visit, request.app.state.stop),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _events(visit: Visit, stop: asyncio.Event) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    checked_at, sent_at = loop.time(), loop.time()
    with visit.console.hub.listening() as listener:
        yield "retry: 2000\n\n"
        while not stop.is_set():
            if listener.missed():
                yield "event: listening\ndata: {}\n\n"
            found = await listener.next(1.0)
            now = loop.time()
            if now - checked_at >= _CHECKED_AGAIN_S:
                checked_at = now
                try:
                    await _check(visit)
                except NotLoggedIn:
                    yield "event: ended\ndata: {}\n\n"
                    return
                except (ApiAway, ApiRefused):
                    pass  # the session may still be good: asked again in a minute
            for happening in found:
                sent_at = now
                yield f"data: {_json(visit, happening)}\n\n"
            if now - sent_at >= _SILENCE_S:
                sent_at = now
                yield ": still here\n\n"


async def _check(visit: Visit) -> None:
    """Raise NotLoggedIn unless the session's token may read."""
    await visit.get("/brake")


def _json(visit: Visit, happening: Happening) -> str:
    at = visit.console.formats.instant(happening.at, "HH:mm:ss") if happening.at else ""
    return json.dumps(
        {
            "topic": happening.topic,
            "account": happening.account_id,
            "at": at,
            "text": happening.text,
            "tone": happening.tone,
            "link": happening.link,
        }
    )
