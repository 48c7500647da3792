"""What a service carries out later: a page shows its answer, not that it was asked."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from console.api.client import ApiAnswer, ApiRefused
from console.web.page import Visit

ANSWER_S = 10.0
"""How long a page waits for the answer."""

_LOOK_EVERY_S = 0.2


async def carried_out(
    visit: Visit, path: str, body: Mapping[str, Any] | None, page: str
) -> Response:
    """Ask for it by POST, and lead to `page` with the service's answer."""
    try:
        asked = await visit.console.api.send("POST", visit.token, path, body)
        found = await _answer(visit, str(asked["request_id"]))
    except ApiRefused as error:
        return visit.go(page, *error.problems, bad=True)
    if found["state"] == "waiting":
        silent = f"no answer in {ANSWER_S:.0f} s: it is done when the {found['service']} runs again"
        return visit.go(page, silent, bad=True)
    return visit.go(page, str(found["answer"]), bad=found["state"] != "done")


async def _answer(visit: Visit, request_id: str) -> ApiAnswer:
    """The command once it is done or refused; still waiting after ANSWER_S."""
    deadline = time.monotonic() + ANSWER_S
    while True:
        found = await visit.get(f"/commands/{request_id}")
        if found["state"] != "waiting" or time.monotonic() >= deadline:
            return found
        await asyncio.sleep(_LOOK_EVERY_S)
