"""/v1/tokens: operators and their tokens."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from accounts.access.scopes import TokenScope
from accounts.access.server_limits import check_server_limits
from accounts.access.store import TokenTerms
from accounts.api.bodies import Body, InstantText
from accounts.api.dependencies import Deps, PageCursor, PageLimit, Who
from accounts.api.route_scopes import ADMIN
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import Id

router = APIRouter(prefix="/tokens", tags=["tokens"])

TokenId = Annotated[
    str, Path(max_length=100, description="an id, or its first digits, at least 4 of them")
]
_MOST_OVERLAP_S = 30 * 86_400


class IssuedToken(BaseModel):
    """A token, without its secret: nobody can read that again.

    `servers` null: `operate` concerns all servers. `expires_at` null: it does not expire.
    """

    token_id: UUID
    operator: str
    scopes: list[TokenScope]
    servers: list[str] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str


class ListedToken(IssuedToken):
    """A token, its state, and its last use, which is written once in 5 minutes."""

    state: Literal["valid", "expired", "revoked"]
    used_at: datetime | None = Field(description="null: never")


class TokenPage(BaseModel):
    """A page of tokens, and the cursor of the next page."""

    items: list[ListedToken]
    next: str | None
    count: int | None = Field(None, description="of all pages; with the first page alone")


class NewToken(ListedToken):
    """A new token with its secret, which is in no other response."""

    secret: str


class RotatedToken(NewToken):
    """A new token, and the one that it replaces."""

    replaced: IssuedToken


class TokenChange(BaseModel):
    """Who changed a token; `before` (null for a new one) and `after` as lists show it."""

    change_id: UUID
    token_id: UUID
    what: Literal["created", "rotated", "revoked"]
    changed_by: str
    changed_at: datetime
    before: IssuedToken | None
    after: IssuedToken


class TokenChangePage(BaseModel):
    """A page of changes of tokens, and the cursor of the next page."""

    items: list[TokenChange]
    next: str | None


class NewTokenBody(Body):
    """Whose token it is, and what it allows."""

    operator: Id
    scopes: list[TokenScope] = Field(min_length=1, max_length=4)
    servers: list[Id] | None = Field(
        None, min_length=1, max_length=100, description="limits operate; left out: all servers"
    )
    expires_at: InstantText | None = Field(None, description="left out: until it is revoked")


class RotationBody(Body):
    """How long the replaced token stays valid."""

    overlap_s: int = Field(3600, ge=0, le=_MOST_OVERLAP_S, description="seconds; 0: it ends now")


@router.post("", status_code=201, dependencies=[ADMIN])
async def create_token(body: NewTokenBody, deps: Deps, who: Who) -> NewToken:
    """Create a token, and its operator if there is none. The response alone has its secret."""
    now = deps.clock.now()
    if body.expires_at is not None and body.expires_at <= now:
        expected = f"an instant in the future; it is {now.isoformat()} now"
        raise BadInput("expires_at", body.expires_at.isoformat(), expected)
    check_server_limits(body.scopes, body.servers, deps.known_servers())
    terms = TokenTerms(
        operator=body.operator,
        scopes=sorted(set(body.scopes)),
        servers=None if body.servers is None else sorted(set(body.servers)),
        expires_at=body.expires_at,
    )
    made = await deps.tokens.create(terms, who)
    deps.directory.expire()
    return NewToken.model_validate(made)


@router.get("", dependencies=[ADMIN])
async def list_tokens(
    deps: Deps,
    state: Literal["valid", "all"] = "valid",
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> TokenPage:
    """Tokens, the newest first. Those of the settings are not among them."""
    found = await deps.tokens.listed(state == "valid", cursor, limit)
    return TokenPage.model_validate(found)


@router.get("/changes", dependencies=[ADMIN])
async def list_token_changes(
    deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> TokenChangePage:
    """Who created, rotated and revoked tokens, the newest first."""
    return TokenChangePage.model_validate(await deps.tokens.changes(cursor, limit))


@router.post("/{token_id}/rotate", status_code=201, dependencies=[ADMIN])
async def rotate_token(
    token_id: TokenId, deps: Deps, who: Who, body: RotationBody | None = None
) -> RotatedToken:
    """Create a token that allows the same, in the place of this one, which ends later."""
    overlap = timedelta(seconds=(body or RotationBody(overlap_s=3600)).overlap_s)
    made = await deps.tokens.rotate(await deps.tokens.find(token_id), overlap, who)
    deps.directory.expire()
    return RotatedToken.model_validate(made)


@router.delete("/{token_id}", dependencies=[ADMIN])
async def revoke_token(token_id: TokenId, deps: Deps, who: Who) -> IssuedToken:
    """End a token at once. One that was revoked before stays as it is."""
    found = await deps.tokens.revoke(await deps.tokens.find(token_id), who)
    deps.directory.expire()
    return IssuedToken.model_validate(found)
