"""/v1/dead: dead records of all services; handling one again, dropping one."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from accounts.api.bodies import Body
from accounts.api.dependencies import Deps, PageCursor, PageLimit, Who
from accounts.api.route_scopes import OPERATE, READ
from ringfence_contracts.events.model import Id, Text

router = APIRouter(prefix="/dead", tags=["dead records"])

DeadId = Annotated[
    str, Path(max_length=100, description="an id, or its first digits, at least 4 of them")
]
DeadState = Literal["dead", "retried", "dropped"]


class DeadRecordFacts(BaseModel):
    """A record that a consumer could not process, and what was decided about it.

    A row of a source that became no event has neither partition nor offset, and no bytes here.
    """

    dead_id: UUID
    service: str
    consumer: str
    topic: str
    partition: int | None
    offset: int | None
    key: str
    reason: str
    value_bytes: int = Field(description="the size of the whole record")
    dead_at: datetime
    state: DeadState
    decided_at: datetime | None
    decided_by: str
    decided_why: str


class DeadRecordContent(DeadRecordFacts):
    """A dead record with its content, of which no more than 20,000 bytes are shown."""

    value: str
    headers: dict[str, str]
    traceback: str


class DeadPage(BaseModel):
    """A page of dead records, and the cursor of the next page."""

    items: list[DeadRecordFacts]
    next: str | None
    count: int | None = Field(None, description="of all pages; with the first page alone")


class RetryBody(Body):
    """Why the record is handled again."""

    reason: Text = ""


class DropBody(Body):
    """Why the record is dropped."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class DeadRequestId(BaseModel):
    """The id under which the service answers: GET /v1/commands/{request_id}."""

    request_id: UUID


@router.get("", response_model=DeadPage, dependencies=[READ])
async def list_dead(
    deps: Deps,
    consumer: Id | None = None,
    topic: Id | None = None,
    state: DeadState | None = None,
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> dict[str, Any]:
    """Dead records, the newest first, each with its reason and its state."""
    return await deps.dead.listed(consumer, topic, state, cursor, limit)


@router.get("/{dead_id}", response_model=DeadRecordContent, dependencies=[READ])
async def get_dead(dead_id: DeadId, deps: Deps) -> dict[str, Any]:
    """One dead record with its content."""
    return await deps.dead.record(await deps.dead.find(dead_id))


@router.post(
    "/{dead_id}/retry", status_code=202, response_model=DeadRequestId, dependencies=[OPERATE]
)
async def retry_dead(dead_id: DeadId, body: RetryBody, deps: Deps, who: Who) -> dict[str, Any]:
    """Have its consumer handle the record again now; the service answers later."""
    found = await deps.dead.find(dead_id)
    return {"request_id": await deps.dead.request(found, "dead.retry", who, body.reason)}


@router.post(
    "/{dead_id}/drop", status_code=202, response_model=DeadRequestId, dependencies=[OPERATE]
)
async def drop_dead(dead_id: DeadId, body: DropBody, deps: Deps, who: Who) -> dict[str, Any]:
    """Mark the record as dropped, with the reason: nothing more is done with it."""
    found = await deps.dead.find(dead_id)
    return {"request_id": await deps.dead.request(found, "dead.drop", who, body.reason)}
