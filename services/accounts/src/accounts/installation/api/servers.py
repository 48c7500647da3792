"""/v1/servers: the servers of the servers file, their state, and pauses for maintenance."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from accounts.api.bodies import Body, InstantText
from accounts.api.dependencies import Dependencies, Deps, Who
from accounts.api.requests import Requested, publish_request
from accounts.api.route_scopes import OPERATE_SERVER, READ
from accounts.installation.servers import KnownServer
from accounts.refusals import Unknown
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import Id, Text

router = APIRouter(prefix="/servers", tags=["servers"])


class Server(BaseModel):
    """A server and its state; `kind` and `address` are None if the servers file does not name it.

    `paused_until` None while it is paused: until it is resumed. `elements_off` counts what
    ringfence switched off, `drifting` how many of these were found on, `off_by_others` what is
    off but was not switched off by ringfence. `failing` counts services that could not be
    switched; `last_error` is the newest error.
    """

    server_id: str
    kind: str | None
    address: str | None
    listed: bool = Field(description="whether the servers file names it")
    paused: bool
    paused_at: datetime | None
    paused_until: datetime | None
    paused_by: str | None
    pause_reason: str | None
    products: int
    elements_off: int
    drifting: int
    off_by_others: int
    failing: int
    last_error: str
    inventory_read_at: datetime | None
    inventory_error: str


class Servers(BaseModel):
    """The servers; `warnings` say why none is known if the servers file cannot be used."""

    items: list[Server]
    warnings: list[str]


class PauseBody(Body):
    """The end of a pause and its reason."""

    until: InstantText | None = Field(None, description="left out: until it is resumed")
    reason: Text = ""


class ResumeBody(Body):
    """The reason to end a pause."""

    reason: Text = ""


@router.get("", dependencies=[READ])
async def list_servers(deps: Deps) -> Servers:
    """The servers that products may name, and others that are paused or have elements off."""
    found = deps.listed_servers()
    states = await deps.server_states.states(list(found))
    return Servers(
        items=[_server(state, found.get(state["server_id"])) for state in states],
        warnings=_warnings(deps),
    )


def _server(state: dict[str, Any], listed: KnownServer | None) -> Server:
    return Server(
        kind=listed.kind if listed else None,
        address=listed.address if listed else None,
        listed=listed is not None,
        paused=state["paused_at"] is not None,
        **state,
    )


def _warnings(deps: Dependencies) -> list[str]:
    if deps.servers is None:
        return ["this service was given no servers file"]
    warning = deps.servers.read().warning
    return [warning] if warning else []


def known_server(deps: Dependencies, server_id: str) -> KnownServer:
    """A server of the servers file. Raises Unknown."""
    server = deps.listed_servers().get(server_id)
    if server is None:
        raise Unknown("server", server_id, "`ringfence server list` shows those that exist")
    return server


@router.post("/{server_id}/pause", status_code=202, dependencies=[OPERATE_SERVER])
async def pause_server(
    server_id: Id, deps: Deps, who: Who, body: PauseBody | None = None
) -> Requested:
    """Pause a server for maintenance: nothing is switched, read or repaired there."""
    given = body or PauseBody()
    known_server(deps, server_id)
    now = deps.clock.now()
    if given.until is not None and given.until <= now:
        expected = f"an instant in the future; it is {now.isoformat()} now"
        raise BadInput("until", given.until.isoformat(), expected)
    arguments = {"server_id": server_id}
    if given.until is not None:
        arguments["until"] = given.until.isoformat()
    return await publish_request(deps, "server.pause", arguments, who, given.reason)


@router.post("/{server_id}/resume", status_code=202, dependencies=[OPERATE_SERVER])
async def resume_server(
    server_id: Id, deps: Deps, who: Who, body: ResumeBody | None = None
) -> Requested:
    """End a pause: what became due during it is switched."""
    if not await deps.server_states.is_paused(server_id):
        known_server(deps, server_id)
    reason = body.reason if body else ""
    return await publish_request(deps, "server.resume", {"server_id": server_id}, who, reason)
