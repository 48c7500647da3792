"""What the simulators' `/_sim/` controls share: JSON in and out, and mistakes told as such."""

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
async def explain(request: web.Request, handler: Any) -> web.StreamResponse:
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
