"""/v1/commands, /v1/alarms, /v1/brake, /v1/mode: operation of the services."""

from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from accounts.api.bodies import Body
from accounts.api.dependencies import Deps, PageCursor, PageLimit, Who
from accounts.api.route_scopes import OPERATE, READ
from accounts.operations.answers import (
    AlarmPage,
    BrakeAnswer,
    CommandAccepted,
    CommandLine,
    CommandPage,
    ModeCounts,
)
from ringfence_contracts.events.model import Id, Text

router = APIRouter(tags=["operations"])


class CommandBody(Body):
    """A command and the service that it is for."""

    service: Id
    command: Id
    arguments: dict[Id, Text] = Field({}, max_length=100)
    reason: Text = ""


@router.post(
    "/commands",
    status_code=202,
    response_model=CommandAccepted,
    response_model_exclude_unset=True,
    dependencies=[OPERATE],
)
async def post_command(body: CommandBody, deps: Deps, who: Who) -> dict[str, Any]:
    """Publish a command to a service, which answers it once, later."""
    request_id = await deps.operations.request(
        body.service, body.command, body.arguments, who, body.reason
    )
    return {"request_id": request_id}


@router.get(
    "/commands", response_model=CommandPage, response_model_exclude_unset=True, dependencies=[READ]
)
async def list_commands(
    deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> dict[str, Any]:
    """Commands and their answers, the newest first."""
    return await deps.operations.commands(cursor, limit)


@router.get(
    "/commands/{request_id}",
    response_model=CommandLine,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def get_command(request_id: UUID, deps: Deps) -> dict[str, Any]:
    """The state of a command: `waiting`, `done` or `refused`."""
    return await deps.operations.command(request_id)


@router.get(
    "/brake", response_model=BrakeAnswer, response_model_exclude_unset=True, dependencies=[READ]
)
async def get_brake(deps: Deps) -> dict[str, Any]:
    """Whether suspensions for funds are paused, and how many wait."""
    return await deps.operations.brake()


@router.get(
    "/alarms", response_model=AlarmPage, response_model_exclude_unset=True, dependencies=[READ]
)
async def list_alarms(
    deps: Deps,
    state: Literal["open", "all"] = "open",
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> dict[str, Any]:
    """Alarms: what a person must act on, the newest first."""
    return await deps.operations.alarms(state == "open", cursor, limit)


@router.get(
    "/mode", response_model=ModeCounts, response_model_exclude_unset=True, dependencies=[READ]
)
async def get_mode(deps: Deps) -> dict[str, Any]:
    """The mode of new clients, and how many clients are in each mode."""
    return {"default": deps.default_mode, **await deps.overview.modes()}
