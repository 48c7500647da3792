"""Whose session this is, and what it allows: the pages of settings say it before they ask."""

from collections.abc import Mapping
from typing import Any

from console.api.client import ApiAnswer
from console.web.page import Visit

SCOPES = {
    "read": "see everything, change nothing",
    "money": "payments, prices, credit limits, re-rating",
    "operate": "clients, orders, modes, servers, the brake, mails",
    "admin": "all of these, operators and tokens",
}


async def session_of(visit: Visit) -> ApiAnswer:
    """The operator of this session: `name`, `scopes`, `servers`, and when it ends."""
    return await visit.get("/sessions/current")


def may(session: Mapping[str, Any], scope: str) -> bool:
    """Whether the session has a scope; `admin` has all."""
    return scope in session["scopes"] or "admin" in session["scopes"]
