"""The form in which a client is answered after a change: itself, what happens, what to mind."""

from typing import Any

from fastapi import Response

from accounts.api.dependencies import Dependencies
from accounts.clients.account import suspension_warnings
from accounts.clients.answers import client_shown, happens
from accounts.clients.versions import etag
from accounts.store import ChangeResult


async def client_answer(deps: Dependencies, account_id: str, response: Response) -> dict[str, Any]:
    """A client as it is now, and its version in the header `ETag`."""
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
    """A client after a change, and what the change does. `but` comes before it in words."""
    row = await deps.overview.client(changed.after.account_id)
    now = deps.clock.now()
    response.headers["ETag"] = etag(row.account.version)
    words = happens(row, changed.before, now)
    return {
        **client_shown(row, now),
        "what_happens": f"{but}; {words}" if but else words,
        "warnings": suspension_warnings(row.account, now) if warnings is None else warnings,
    }
