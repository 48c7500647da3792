"""/v1/operators: who may log in, and for what."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from accounts.access.operators.passwords import LONGEST, SHORTEST
from accounts.access.operators.store import OperatorEdit, OperatorTerms
from accounts.access.scopes import TokenScope
from accounts.access.server_limits import check_server_limits
from accounts.api.bodies import Body
from accounts.api.dependencies import Deps, PageCursor, PageLimit, Who
from accounts.api.route_scopes import ADMIN
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import Id

router = APIRouter(prefix="/operators", tags=["operators"])

OperatorName = Annotated[Id, Path(description="the name of an operator")]
NewPassword = Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST)]
OperatorScopes = Annotated[list[TokenScope], Field(min_length=1, max_length=4)]
OperatorServers = Annotated[
    list[Id] | None,
    Field(min_length=1, max_length=100, description="limits operate; null: all servers"),
]


class AuditedOperator(BaseModel):
    """An operator as the audit shows him: never with a password."""

    name: str
    scopes: list[TokenScope] = Field(description="none: he has tokens alone, and cannot log in")
    servers: list[str] | None
    enabled: bool
    has_password: bool = Field(description="without one he logs in by a link")


class ListedOperator(AuditedOperator):
    """An operator, who created him, and when he last logged in."""

    created_at: datetime
    created_by: str
    last_login_at: datetime | None = Field(description="null: never")


class OperatorPage(BaseModel):
    """A page of operators, and the cursor of the next page."""

    items: list[ListedOperator]
    next: str | None
    count: int | None = Field(None, description="of all pages; with the first page alone")


class OperatorChange(BaseModel):
    """Who changed an operator; `before` (null for a new one) and `after` show him.

    `password`: it was set. `link`: he was given a login link.
    """

    change_id: UUID
    operator: str
    what: Literal["created", "changed", "password", "disabled", "enabled", "link"]
    changed_by: str
    changed_at: datetime
    before: AuditedOperator | None
    after: AuditedOperator


class OperatorChangePage(BaseModel):
    """A page of changes of operators, and the cursor of the next page."""

    items: list[OperatorChange]
    next: str | None


class NewOperatorBody(Body):
    """Who may log in, and what he may do."""

    name: Id
    scopes: OperatorScopes
    servers: OperatorServers = None
    password: NewPassword | None = Field(None, description="left out: he logs in by a link")


class OperatorEditBody(Body):
    """What is changed of an operator; what is left out stays."""

    scopes: OperatorScopes | None = None
    servers: OperatorServers = None
    enabled: bool | None = None


class PasswordBody(Body):
    """A new password."""

    password: NewPassword


@router.post("", status_code=201, dependencies=[ADMIN])
async def create_operator(body: NewOperatorBody, deps: Deps, who: Who) -> ListedOperator:
    """Create an operator. One who had tokens alone may log in from now on."""
    check_server_limits(body.scopes, body.servers, deps.known_servers())
    kept = None if body.password is None else await deps.passwords.hash(body.password)
    terms = OperatorTerms(body.scopes, body.servers)
    return _listed(await deps.operators.create(body.name, terms, kept, who))


@router.get("", dependencies=[ADMIN])
async def list_operators(
    deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> OperatorPage:
    """Operators, the newest first, also those who have tokens alone."""
    return OperatorPage.model_validate(await deps.operators.listed(cursor, limit))


@router.get("/changes", dependencies=[ADMIN])
async def list_operator_changes(
    deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> OperatorChangePage:
    """Who changed operators and gave them login links, the newest first."""
    return OperatorChangePage.model_validate(await deps.operators.changes(cursor, limit))


@router.patch("/{name}", dependencies=[ADMIN])
async def change_operator(
    name: OperatorName, body: OperatorEditBody, deps: Deps, who: Who
) -> ListedOperator:
    """Change what an operator may do, his sessions included; or disable him, which ends them.

    Disabling revokes his tokens too. Enabling gives none of them back.
    """
    given = body.model_fields_set
    if not given:
        raise BadInput("body", None, "scopes, servers or enabled")
    limits = {"servers": body.servers} if "servers" in given else {}
    check_server_limits(body.scopes or ["operate"], body.servers, deps.known_servers())
    edit = OperatorEdit(body.scopes, limits, body.enabled)
    found = await deps.operators.change(name, edit, who)
    deps.directory.expire()
    return _listed(found)


@router.put("/{name}/password", dependencies=[ADMIN])
async def set_password(
    name: OperatorName, body: PasswordBody, deps: Deps, who: Who
) -> ListedOperator:
    """Set a password. It ends all sessions and unused login links of the operator."""
    kept = await deps.passwords.hash(body.password)
    found = await deps.operators.set_password(name, kept, who)
    deps.directory.expire()
    return _listed(found)


def _listed(found: dict[str, Any]) -> ListedOperator:
    return ListedOperator.model_validate(found)
