"""/v1/notices: mails, their states and reasons; resending one."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from accounts.api.bodies import Body
from accounts.api.dependencies import Deps, PageCursor, PageLimit, Who
from accounts.api.route_scopes import OPERATE, READ
from ringfence_contracts.events.model import Id, Text

router = APIRouter(prefix="/notices", tags=["notices"])

NoticeId = Annotated[
    str, Path(max_length=100, description="an id, or its first digits, at least 4 of them")
]
NoticeState = Literal["waiting", "sent", "in doubt", "failed", "dropped"]


class Notice(BaseModel):
    """A mail and its state.

    `number` counts the times the client fell below the threshold, or the funds holds; `day`
    counts the daily reminders, 0 for the first mail. `reason` says why it waits, failed, was
    dropped or is in doubt. `shadow`: it was not sent because the client was in shadow mode.
    """

    notice_id: UUID
    account_id: str | None = Field(description="null: a mail to the operator")
    kind: str = Field(description="low, zero, restored, alarm or digest")
    template: str
    number: int | None
    day: int
    cause_id: UUID
    state: NoticeState
    reason: str
    recipient: str
    subject: str
    attempts: int
    shadow: bool
    occurred_at: datetime
    created_at: datetime
    next_attempt_at: datetime | None = Field(description="null: at an event")
    offered_at: datetime | None = Field(description="when its text last went out")
    sent_at: datetime | None


class NoticeWithWords(Notice):
    """A mail with its text as it was sent; empty while it waits."""

    text: str
    html: str


class NoticePage(BaseModel):
    """A page of mails, and the cursor of the next page."""

    items: list[Notice]
    next: str | None
    count: int | None = Field(None, description="of all pages; with the first page alone")


class ResendBody(Body):
    """The reason to send a mail again."""

    reason: Text = ""


class Asked(BaseModel):
    """The id under which the notifier answers: GET /v1/commands/{request_id}."""

    request_id: UUID


@router.get("", response_model=NoticePage, dependencies=[READ])
async def list_notices(
    deps: Deps,
    client: Id | None = None,
    state: NoticeState | None = None,
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> dict[str, Any]:
    """Mails, the newest first, each with its state and its reason."""
    return await deps.notices.notices(client, state, cursor, limit)


@router.get("/{notice_id}", response_model=NoticeWithWords, dependencies=[READ])
async def get_notice(notice_id: NoticeId, deps: Deps) -> dict[str, Any]:
    """One mail, with its text as it was sent."""
    return await deps.notices.notice(await deps.notices.find(notice_id))


@router.post("/{notice_id}/resend", status_code=202, response_model=Asked, dependencies=[OPERATE])
async def resend_notice(
    notice_id: NoticeId, body: ResendBody, deps: Deps, who: Who
) -> dict[str, Any]:
    """Send a mail again that is in doubt or failed; the notifier answers later."""
    arguments = {"notice_id": str(await deps.notices.find(notice_id))}
    request_id = await deps.operations.publish_command(
        "notifier", "mail.resend", arguments, who, body.reason
    )
    return {"request_id": request_id}
