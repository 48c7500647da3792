"""/v1/sessions and /v1/login-links: how operators log in and out."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from accounts.access.scopes import SCOPES, TokenScope
from accounts.access.sessions.store import IDLE
from accounts.api.bodies import Body
from accounts.api.dependencies import Deps, TheCaller, Who
from accounts.api.route_scopes import ADMIN, ANY_TOKEN, NO_TOKEN
from accounts.refusals import Clash
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import Id

router = APIRouter(tags=["sessions"])
_IDLE_S = int(IDLE.total_seconds())


class NewSession(BaseModel):
    """A session that was opened. Its `secret` is the token of its requests, and nowhere else."""

    secret: str
    name: str
    scopes: list[TokenScope]
    servers: list[str] | None = Field(description="those that operate is for; null: all")
    created_at: datetime
    expires_at: datetime = Field(description="it ends then at the latest")
    idle_timeout_s: int = Field(description="it ends earlier after so many seconds without use")


class CurrentSession(BaseModel):
    """Whose token sends this request, what it allows, and when it ends."""

    name: str
    scopes: list[TokenScope]
    servers: list[str] | None = Field(description="those that operate is for; null: all")
    expires_at: datetime | None = Field(description="null: it does not expire")
    idle_timeout_s: int | None = Field(description="null: it is a token, no session")


class EndedSession(BaseModel):
    """A session that was ended."""

    name: str
    ended_at: datetime


class LoginLink(BaseModel):
    """The secret of a link, by which the operator logs in once. It is in no other response."""

    secret: str
    operator: str
    created_at: datetime
    expires_at: datetime


class LoginBody(Body):
    """Name and password, or the secret of a link alone."""

    name: Annotated[str, Field(max_length=200)] | None = None
    password: Annotated[str, Field(max_length=1000)] | None = None
    link: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="the secret of a link, in the place of name and password"
    )


class LoginLinkBody(Body):
    """For whom the link is."""

    operator: Id


@router.post("/sessions", status_code=201, dependencies=[NO_TOKEN], openapi_extra={"security": []})
async def open_session(body: LoginBody, deps: Deps, request: Request) -> NewSession:
    """Log in. Wrong names and passwords are answered 401, all alike; many of them 429."""
    address = request.client.host if request.client else "?"
    if body.link is not None:
        if body.name is not None or body.password is not None:
            raise BadInput("link", None, "either a link, or name and password")
        opened = await deps.logins.by_link(body.link, address)
    elif body.name is None or body.password is None:
        field = "name" if body.name is None else "password"
        raise BadInput(field, None, "name and password, or a link")
    else:
        opened = await deps.logins.by_password(body.name, body.password, address)
    deps.directory.expire()
    return NewSession(
        secret=opened.secret,
        name=opened.name,
        scopes=list(opened.scopes),
        servers=None if opened.servers is None else list(opened.servers),
        created_at=opened.created_at,
        expires_at=opened.expires_at,
        idle_timeout_s=_IDLE_S,
    )


@router.get("/sessions/current", dependencies=[ANY_TOKEN])
async def show_session(caller: TheCaller) -> CurrentSession:
    """Whose token this is and what it allows, for a session and for any token."""
    return CurrentSession(
        name=caller.name,
        scopes=[scope for scope in SCOPES if scope in caller.scopes],
        servers=None if caller.servers is None else sorted(caller.servers),
        expires_at=caller.expires_at,
        idle_timeout_s=None if caller.session is None else _IDLE_S,
    )


@router.delete("/sessions/current", dependencies=[ANY_TOKEN])
async def end_session(deps: Deps, caller: TheCaller) -> EndedSession:
    """Log out: the session's token is refused from now on."""
    if caller.session is None:
        expected = "this is a token, no session: `ringfence token revoke` ends it"
        raise Clash("session", caller.name, expected)
    ended_at = await deps.sessions.end(caller.session.session_id)
    deps.directory.expire()
    return EndedSession(name=caller.name, ended_at=ended_at)


@router.post("/login-links", status_code=201, dependencies=[ADMIN])
async def create_link(body: LoginLinkBody, deps: Deps, who: Who) -> LoginLink:
    """Create the secret of a link, by which an operator logs in once within 15 minutes."""
    return LoginLink.model_validate(await deps.sessions.create_link(body.operator, who))
