"""The servers that a token or an operator may be limited to."""

from collections.abc import Collection

from accounts.access.scopes import TokenScope
from ringfence_contracts.errors import BadInput


def check_server_limits(
    scopes: Collection[TokenScope],
    servers: Collection[str] | None,
    known: Collection[str] | None,
) -> None:
    """Raise BadInput for servers that the scopes do not use, and for one that does not exist.

    `known`: the servers that exist; None where any may.
    """
    if servers is None:
        return
    if not uses_servers(scopes):
        expected = "none: they limit the scope operate, and admin is for all servers"
        raise BadInput("servers", ", ".join(servers), expected)
    for server in servers if known is not None else ():
        if server not in (known or ()):
            those = ", ".join(sorted(known or ())) or "none, the servers file has no server"
            raise BadInput("servers", server, f"one of: {those}")


def uses_servers(scopes: Collection[TokenScope]) -> bool:
    """Whether servers can limit these scopes."""
    return "operate" in scopes and "admin" not in scopes
