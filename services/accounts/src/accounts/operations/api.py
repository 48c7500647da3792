"""/v1/commands, /v1/alarms, /v1/brake, /v1/mode: what operators see and ask for."""

from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from accounts.api.bodies import Body
from accounts.api.dependencies import Deps, PageCursor, PageLimit, Who
from ringfence_contracts.events.model import Id, Text

router = APIRouter(tags=["operations"])


class CommandBody(Body):
    """What is asked of which service."""

    service: Id
    command: Id
    arguments: dict[Id, Text] = Field({}, max_length=100)
    reason: Text = ""


@router.post("/commands", status_code=202)
async def post_command(body: CommandBody, deps: Deps, who: Who) -> dict[str, Any]:
    """Ask a service for something; it answers later, once."""
    request_id = await deps.operations.request(
        body.service, body.command, body.arguments, who, body.reason
    )
    return {"request_id": request_id}


@router.get("/commands")
async def list_commands(
    deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> dict[str, Any]:
    """What was asked and answered, the newest first."""
    return await deps.operations.commands(cursor, limit)


@router.get("/commands/{request_id}")
async def get_command(request_id: UUID, deps: Deps) -> dict[str, Any]:
    """What became of a command: `waiting`, `done` or `refused`."""
    return await deps.operations.command(request_id)


@router.get("/brake")
async def get_brake(deps: Deps) -> dict[str, Any]:
    """Whether cutting for funds is paused, and how many cuts wait."""
    return await deps.operations.brake()


@router.get("/alarms")
async def list_alarms(
    deps: Deps,
    state: Literal["open", "all"] = "open",
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> dict[str, Any]:
    """What a person must see to, the newest first."""
    return await deps.operations.alarms(state == "open", cursor, limit)


@router.get("/mode")
async def get_mode(deps: Deps) -> dict[str, Any]:
    """The mode of new clients, and how many clients are in which."""
    return {"default": deps.default_mode, **await deps.overview.modes()}
