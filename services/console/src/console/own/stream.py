"""The stream of a client's page: that something of this client happened, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from console.api.client import ApiAway, ApiRefused, NotLoggedIn
from console.own.visit import OwnVisit

_SILENCE_S = 15.0
_CHECKED_AGAIN_S = 30.0


async def stream(request: Request) -> Response:
    """Send an event for each one of this client, without its content, until the session ends."""
    visit = OwnVisit(request)
    me = await visit.me()
    return StreamingResponse(
        _events(visit, str(me["account_id"]), request.app.state.stop),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _events(visit: OwnVisit, account_id: str, stop: asyncio.Event) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    checked_at, sent_at = loop.time(), loop.time()
    changed = f"data: {json.dumps({'account': account_id})}\n\n"
    with visit.console.hub.listening() as listener:
        yield "retry: 5000\n\n"
        while not stop.is_set():
            if listener.missed():
                yield "event: listening\ndata: {}\n\n"
            found = await listener.next(1.0)
            now = loop.time()
            if now - checked_at >= _CHECKED_AGAIN_S:
                checked_at = now
                try:
                    await visit.me()
                except NotLoggedIn:
                    yield "event: ended\ndata: {}\n\n"
                    return
                except (ApiAway, ApiRefused):
                    pass  # the session may still be good: asked again in a moment
            if any(happening.account_id == account_id for happening in found):
                sent_at = now
                yield changed
            elif now - sent_at >= _SILENCE_S:
                sent_at = now
                yield ": still here\n\n"
