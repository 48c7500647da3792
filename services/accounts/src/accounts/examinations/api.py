"""/v1/examinations: check servers, brokers, database and mail server."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from accounts.access.scopes import check_all_servers, check_servers
from accounts.api.bodies import Body
from accounts.api.dependencies import Dependencies, Deps, TheCaller, Who
from accounts.api.route_scopes import OPERATE_BODY
from accounts.refusals import Unknown
from ringfence_contracts.events.model import Id

router = APIRouter(prefix="/examinations", tags=["servers"])


class ExaminationBody(Body):
    """What is examined: one server and its products, or everything."""

    server: Id | None = None


class Examination(BaseModel):
    """An examination was requested: `GET /v1/jobs/{request_id}` shows how far it is.

    Its result is an ExaminationResult.
    """

    request_id: UUID
    server: str | None = Field(description="the only server that is examined; null: everything")


@router.post("", status_code=202, dependencies=[OPERATE_BODY])
async def request_examination(
    deps: Deps, who: Who, caller: TheCaller, body: ExaminationBody | None = None
) -> Examination:
    """Examine one server, or all and the platform. It changes nothing, and takes up to 2 minutes.

    cdr-ingest does it, where the credentials of the servers are.
    """
    server = body.server if body else None
    if server is None:
        check_all_servers(caller)
    else:
        check_servers(caller, [server])
        _check_exists(deps, server)
    arguments = {} if server is None else {"server": server}
    request_id = await deps.operations.publish_command(
        "cdr-ingest", "doctor.examine", arguments, who, ""
    )
    return Examination(request_id=request_id, server=server)


def _check_exists(deps: Dependencies, server: str) -> None:
    """Raise Unknown, with the servers that exist, for one that is not in the servers file."""
    if deps.servers is None:
        return
    listed = deps.servers.read()
    known = [each.server_id for each in listed.servers]
    if server not in known:
        raise Unknown("server", server, listed.warning or _those(known))


def _those(known: Sequence[str]) -> str:
    return f"those that exist are {', '.join(known)}" if known else "the servers file has none"
