"""What a token allows: scopes, and the servers that `operate` is limited to. Pure.

`read` is for everything that shows and changes nothing; `money` for what changes what clients pay:
payments, prices, charges; `operate` for clients, their products and their state, servers, mails and
repairs; `admin` for tokens, and for all of the others.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from ringfence_contracts.errors import RingfenceError

TokenScope = Literal["read", "money", "operate", "admin"]
SCOPES: tuple[TokenScope, ...] = get_args(TokenScope)


@dataclass(frozen=True)
class SessionUse:
    """The session of an operator who logged in, and when its last use was noted."""

    session_id: UUID
    used_at: datetime


@dataclass(frozen=True)
class TokenUse:
    """The token of a system or a person, and when its last use was noted; None: never."""

    token_id: UUID
    used_at: datetime | None


@dataclass(frozen=True)
class ClientUse:
    """The session of a client at its own page. `may_change`: it may change its mails."""

    account_id: str
    may_change: bool
    digest: bytes = field(repr=False)


@dataclass(frozen=True)
class Caller:
    """Who sends a request, and what the token allows. `servers` None: all of them.

    `expires_at` None: the token does not expire. `session` None: it is no operator's session.
    `token` None: it is a session's token, or one of the settings. `client` None: it is an
    operator's or a system's; else it has no scope, and is for the routes of that client alone.
    """

    name: str
    scopes: frozenset[TokenScope]
    servers: frozenset[str] | None = None
    expires_at: datetime | None = None
    session: SessionUse | None = None
    token: TokenUse | None = None
    client: ClientUse | None = None

    def may(self, scope: TokenScope) -> bool:
        """Whether the token has `scope`, or `admin`, which includes all."""
        return scope in self.scopes or "admin" in self.scopes


class Forbidden(RingfenceError):
    """The token is known, but does not allow this request (403); nothing was changed."""

    def __init__(self, value: str, expected: str, message: str) -> None:
        self.field = "Authorization"
        self.value = value
        self.expected = expected
        super().__init__(message)


def check_realm(caller: Caller, *, own: bool) -> None:
    """Raise Forbidden for a client's session on any route but its `own`, and for others on those.

    It is the one place that says so: a route that declares nothing is closed to clients.
    """
    if caller.client is not None and not own:
        raise Forbidden(
            "a client's session",
            "a token of an operator",
            "this is a client's session: it may see the client's own page alone",
        )
    if caller.client is None and own:
        raise Forbidden(
            "a token of an operator",
            "a client's session",
            "this address is for a client's own session: `ringfence client link` opens one",
        )


def check_scope(caller: Caller, needed: TokenScope) -> None:
    """Raise Forbidden, which says what to ask for, unless the token has the scope."""
    if caller.may(needed):
        return
    has = in_words(caller.scopes)
    raise Forbidden(
        has,
        f"a token with the scope {needed}",
        f"this token may {has}; this request needs {needed}: ask an admin for a token with it"
        f" (`ringfence token create NAME --scope {needed}`)",
    )


def check_servers(caller: Caller, servers: Collection[str]) -> None:
    """Raise Forbidden unless the token may operate all of `servers`."""
    if caller.servers is None or "admin" in caller.scopes:
        return
    others = sorted(set(servers) - caller.servers)
    if others:
        own = _listed(sorted(caller.servers))
        raise Forbidden(
            own,
            f"a token that may operate {_listed(others)}",
            f"this token may operate {own} alone; this request concerns {_listed(others)}:"
            f" ask an admin for a token with it (`ringfence token create NAME --scope operate"
            f" --server {others[0]}`)",
        )


def check_all_servers(caller: Caller) -> None:
    """Raise Forbidden if `operate` is limited to some servers."""
    if caller.servers is None or "admin" in caller.scopes:
        return
    own = _listed(sorted(caller.servers))
    raise Forbidden(
        own,
        "a token that may operate all servers",
        f"this token may operate {own} alone; this request concerns all servers: ask an admin"
        " for a token without --server (`ringfence token create NAME --scope operate`)",
    )


def in_words(scopes: Collection[TokenScope]) -> str:
    """The scopes in their order, such as `read and operate`."""
    return _listed([scope for scope in SCOPES if scope in scopes])


def _listed(names: Sequence[str]) -> str:
    *first, last = names or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last
