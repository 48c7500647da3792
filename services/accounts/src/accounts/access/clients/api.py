"""/v1/clients/{account_id}/links, /v1/client-sessions and /v1/client-link-requests."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from accounts.api.bodies import Body
from accounts.api.dependencies import AccountId, Deps, Who
from accounts.api.route_scopes import NO_TOKEN, OPERATE_CLIENT
from ringfence.mail.client_link import LINK_VALID
from ringfence_contracts.events.model import Text

router = APIRouter(tags=["clients' pages"])
_LONGEST_S = int(LINK_VALID.total_seconds())


class ClientLinkBody(Body):
    """For how long the link is, and what for."""

    valid_s: int = Field(_LONGEST_S, ge=60, le=_LONGEST_S, description="seconds; 7 days at most")
    look_only: bool = Field(
        False, description="who opens it sees what the client sees, and can change nothing"
    )


class NewClientLink(BaseModel):
    """A link to a client's own page. Its `secret` is what is behind the # of `url`."""

    account_id: str
    url: str
    secret: str
    expires_at: datetime


class RevokedLinks(BaseModel):
    """All links of the client that were made until then are valid no more."""

    account_id: str
    revoked_at: datetime


class OpenPageBody(Body):
    """The secret of a link."""

    link: Annotated[str, Field(max_length=1000)]


class ClientSession(BaseModel):
    """A session of a client at its own page. Its `secret` is the token of its requests."""

    secret: str
    account_id: str
    may_change: bool
    expires_at: datetime


class LinkRequestBody(Body):
    """The mail address of a client."""

    email: Text


class LinkRequested(BaseModel):
    """The same for every address, known or not."""

    words: str


@router.post("/clients/{account_id}/links", status_code=201, dependencies=[OPERATE_CLIENT])
async def create_client_link(
    account_id: AccountId, body: ClientLinkBody, deps: Deps, who: Who
) -> NewClientLink:
    """Create a link to the client's own page: for single sign-on, or to give it to the client.

    Anybody who has the link can open the page until it ends or is revoked.
    """
    valid_for = timedelta(seconds=body.valid_s)
    secret, url, ends_at = await deps.links.make(account_id, valid_for, not body.look_only, who)
    return NewClientLink(account_id=account_id, url=url, secret=secret, expires_at=ends_at)


@router.delete("/clients/{account_id}/links", dependencies=[OPERATE_CLIENT])
async def revoke_client_links(
    account_id: AccountId, deps: Deps, who: Who, reason: Text = ""
) -> RevokedLinks:
    """End all links to the client's own page, those in mails too, and the sessions by them."""
    revoked_at = await deps.client_access.revoke(account_id, who, reason)
    return RevokedLinks(account_id=account_id, revoked_at=revoked_at)


@router.post(
    "/client-sessions", status_code=201, dependencies=[NO_TOKEN], openapi_extra={"security": []}
)
async def open_client_session(body: OpenPageBody, deps: Deps, request: Request) -> ClientSession:
    """Open a session by a link: its token reads the client's own data, below /v1/me, alone."""
    opened = await deps.links.open(body.link, _address(request))
    return ClientSession(
        secret=opened.secret,
        account_id=opened.account_id,
        may_change=opened.may_change,
        expires_at=opened.expires_at,
    )


@router.post(
    "/client-link-requests",
    status_code=202,
    dependencies=[NO_TOKEN],
    openapi_extra={"security": []},
)
async def request_client_link(body: LinkRequestBody, deps: Deps, request: Request) -> LinkRequested:
    """Have a link mailed to the clients with this address. The answer does not say whether any."""
    await deps.links.request_mail(body.email.strip(), _address(request))
    return LinkRequested(
        words="If a client has this address, a link is on its way to it. A client gets one mail in"
        " 10 minutes at most."
    )


def _address(request: Request) -> str:
    return request.client.host if request.client else "?"
