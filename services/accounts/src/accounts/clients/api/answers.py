"""The response to a change of a client: the client, what happens, and warnings."""

from typing import Any

from fastapi import Response

from accounts.api.dependencies import Dependencies
from accounts.clients.account import suspension_warnings
from accounts.clients.answers import client_shown, happens
from accounts.clients.versions import etag
from accounts.store import ChangeResult


async def client_answer(deps: Dependencies, account_id: str, response: Response) -> dict[str, Any]:
    """The client as it is now; its version goes into the header `ETag`."""
    row = await deps.overview.client(account_id)
    response.headers["ETag"] = etag(row.account.version)
    return client_shown(row, deps.clock.now())


async def changed_answer(
    deps: Dependencies,
    changed: ChangeResult,
    response: Response,
    *,
    warnings: list[str] | None = None,
    but: str = "",
) -> dict[str, Any]:
    """The client after a change, and what the change does. `but` is text to put before that."""
    row = await deps.overview.client(changed.after.account_id)
    now = deps.clock.now()
    response.headers["ETag"] = etag(row.account.version)
    words = happens(row, changed.before, now)
    return {
        **client_shown(row, now),
        "what_happens": f"{but}; {words}" if but else words,
        "warnings": suspension_warnings(row.account, now) if warnings is None else warnings,
    }
