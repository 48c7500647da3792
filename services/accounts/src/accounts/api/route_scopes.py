"""The scope that a route needs, declared at the route: `dependencies=[READ]`.

A test names the routes that declare none. It is checked before a body or a parameter is validated:
who may not change a thing does not learn from errors what would be accepted.
"""

from dataclasses import dataclass
from typing import Literal

from fastapi import Depends, Request

from accounts.access.scopes import (
    Caller,
    TokenScope,
    check_all_servers,
    check_realm,
    check_scope,
    check_servers,
)
from ringfence_contracts.events.model import is_id

Concerns = Literal["any", "server", "client", "all servers"]


@dataclass(frozen=True)
class NeededScope:
    """A scope, and for `operate` which servers the request concerns.

    `server`: the one in the path; `client`: those of the products of the client in the path.
    A scope None: any token is enough, but a client's. `own`: a client's session, and nothing else.
    `without_token`: anybody; the request is a login.
    """

    scope: TokenScope | None
    concerns: Concerns = "any"
    own: bool = False
    without_token: bool = False

    async def __call__(self, request: Request) -> None:
        """Raise Forbidden unless the token of the request allows it."""
        if self.without_token:  # BearerAuth lets it pass
            return
        caller: Caller = request.state.caller
        check_realm(caller, own=self.own)
        if self.scope is None:
            return
        check_scope(caller, self.scope)
        if self.concerns == "any" or caller.servers is None:
            return
        if self.concerns == "all servers":
            check_all_servers(caller)
        elif self.concerns == "server":
            check_servers(caller, [request.path_params["server_id"]])
        elif is_id(account_id := request.path_params["account_id"]):
            tokens = request.app.state.dependencies.tokens
            check_servers(caller, await tokens.servers_of(account_id))


ANY_TOKEN = Depends(NeededScope(None))
"""The request concerns its own token alone."""

NO_TOKEN = Depends(NeededScope(None, without_token=True))
"""The request is a login; BearerAuth lets it pass."""

OWN = Depends(NeededScope(None, own=True))
"""The request is a client's, about itself alone."""

READ = Depends(NeededScope("read"))
MONEY = Depends(NeededScope("money"))
ADMIN = Depends(NeededScope("admin"))
OPERATE = Depends(NeededScope("operate", "all servers"))
OPERATE_SERVER = Depends(NeededScope("operate", "server"))
OPERATE_CLIENT = Depends(NeededScope("operate", "client"))
OPERATE_BODY = Depends(NeededScope("operate"))
"""The body names the server: the route checks it itself."""
