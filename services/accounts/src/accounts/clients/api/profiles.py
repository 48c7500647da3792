"""/v1/clients: profiles, their list, and what a client owes."""

from typing import Any, Literal

from fastapi import APIRouter, Response

from accounts.access.scopes import Caller, check_scope
from accounts.api.dependencies import (
    AccountId,
    Dependencies,
    Deps,
    IfMatch,
    PageCursor,
    PageLimit,
    TheCaller,
    Who,
)
from accounts.api.route_scopes import MONEY, OPERATE_CLIENT, READ
from accounts.clients.account import (
    Account,
    applies,
    entered,
    entry_warnings,
    patched,
    with_outstanding,
)
from accounts.clients.answers import burn_listed, client_shown, explained
from accounts.clients.api.answers import changed_answer, client_answer
from accounts.clients.api.bodies import ClientBody, ClientPatch, OutstandingBody
from accounts.clients.checks import check_not_dropped
from accounts.clients.orders import Author
from accounts.clients.overview.store import Filters
from accounts.clients.response_types import (
    AuditPage,
    ChangedClient,
    ChangedOutstanding,
    ClientAnswer,
    ClientExplanation,
    ClientPage,
)
from accounts.clients.store_publishing import AuditEntry
from accounts.paging import by_columns, decode_cursor, page, read_id
from accounts.refusals import unknown_client
from accounts.store import ChangeResult
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import OperatingMode
from ringfence_contracts.events.balance import Level
from ringfence_contracts.money import format_micro, parse_micro

router = APIRouter(tags=["clients"])

StateFilter = Literal["on", "off", "switching", "failed", "no-service", "would-be-off"]


@router.put(
    "/clients/{account_id}",
    response_model=ChangedClient,
    response_model_exclude_unset=True,
    responses={201: {"model": ChangedClient}},
    dependencies=[OPERATE_CLIENT],
)
async def put_client(
    account_id: AccountId,
    body: ClientBody,
    deps: Deps,
    who: Who,
    caller: TheCaller,
    response: Response,
    versions: IfMatch,
) -> dict[str, Any]:
    """Create a client, or replace its profile. The currency cannot change afterwards.

    A new client's opening balance is posted. A response can be sent back as a body: its read-only
    fields are ignored, and what ringfence wrote itself is not taken as an order.
    """
    body.check_path(account_id)
    _check_money(caller, body)
    author = Author(who, deps.clock.now(), matched=versions is not None)
    warnings: list[str] = []

    def enter(before: Account | None) -> Account:
        check_not_dropped(before.profile if before else None, frozenset(body.model_fields_set))
        settings = body.settings()
        warnings[:] = entry_warnings(before, settings, author)
        return entered(account_id, before, settings, author, default_mode=deps.default_mode)

    changed = await deps.store.enter_client(
        account_id,
        enter,
        AuditEntry(who, "profile entered"),
        opening_micro=body.opening_micro(),
        versions=versions,
    )
    response.status_code = 200 if changed.before else 201
    return await changed_answer(deps, changed, response, warnings=warnings)


def _check_money(caller: Caller, body: ClientBody | ClientPatch) -> None:
    """Raise Forbidden for what changes what a client pays, unless the token may do that."""
    if body.opening_balance is not None or body.credit_limit is not None:
        check_scope(caller, "money")


@router.patch(
    "/clients/{account_id}",
    response_model=ChangedClient,
    response_model_exclude_unset=True,
    dependencies=[OPERATE_CLIENT],
)
async def patch_client(
    account_id: AccountId,
    body: ClientPatch,
    deps: Deps,
    who: Who,
    caller: TheCaller,
    response: Response,
    versions: IfMatch,
) -> dict[str, Any]:
    """Change part of a client: a field that is left out stays unchanged."""
    body.check_path(account_id)
    _check_money(caller, body)
    author = Author(who, deps.clock.now(), matched=versions is not None)
    warnings: list[str] = []

    def enter(before: Account | None) -> Account:
        if before is None:
            raise unknown_client(account_id)
        settings = patched(before, body.changes())
        warnings[:] = entry_warnings(before, settings, author)
        return entered(account_id, before, settings, author)

    changed = await deps.store.enter_client(
        account_id,
        enter,
        AuditEntry(who, "profile changed"),
        opening_micro=body.opening_micro(),
        versions=versions,
    )
    return await changed_answer(deps, changed, response, warnings=warnings)


@router.get(
    "/clients", response_model=ClientPage, response_model_exclude_unset=True, dependencies=[READ]
)
async def list_clients(
    deps: Deps,
    search: str | None = None,
    state: StateFilter | None = None,
    level: Level | None = None,
    mode: OperatingMode | None = None,
    posted: Literal["yes", "no"] | None = None,
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> dict[str, Any]:
    """Clients that match, in the order of their ids, and their total count."""
    if search is not None and (len(search) > 200 or "\x00" in search):
        raise BadInput("search", search, "at most 200 characters of text")
    filters = Filters(search, state, level, mode, None if posted is None else posted == "yes")
    (after,) = decode_cursor(cursor, read_id)
    now = deps.clock.now()
    found = await deps.overview.clients(filters, after, limit + 1)
    rows = [client_shown(row, now) for row in found]
    count = await deps.overview.count(filters)
    listed = page(rows, limit, by_columns("account_id"))
    burns = await deps.situation.burns([row["account_id"] for row in listed["items"]])
    for row in listed["items"]:
        row.update(burn_listed(row, burns[row["account_id"]], now))
    return {**listed, "count": count}


@router.get(
    "/clients/{account_id}",
    response_model=ClientAnswer,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def get_client(account_id: AccountId, deps: Deps, response: Response) -> dict[str, Any]:
    """One client: what PUT takes, and its balance, level, state and the reason of the state."""
    return await client_answer(deps, account_id, response)


@router.get(
    "/clients/{account_id}/explanation",
    response_model=ClientExplanation,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def get_explanation(account_id: AccountId, deps: Deps) -> dict[str, Any]:
    """Why a client is on or off, and for each of its products."""
    return explained(await deps.overview.client(account_id), deps.clock.now())


@router.get(
    "/clients/{account_id}/audit",
    response_model=AuditPage,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def get_audit(
    account_id: AccountId, deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> dict[str, Any]:
    """The audit of a client, the newest entry first: who, when, why, and what changed."""
    await deps.store.account(account_id)
    return await deps.history.of_client(account_id, cursor, limit)


@router.put(
    "/clients/{account_id}/outstanding",
    response_model=ChangedOutstanding,
    response_model_exclude_unset=True,
    dependencies=[MONEY],
)
async def put_outstanding(
    account_id: AccountId,
    body: OutstandingBody,
    deps: Deps,
    who: Who,
    response: Response,
    versions: IfMatch,
) -> dict[str, Any]:
    """Set the sum of the client's unpaid invoices. `applied` is false, and nothing changes, when
    a newer sum is stored.
    """
    micro = parse_micro(body.amount)
    if micro < 0:
        raise BadInput("amount", body.amount, "0 or more")
    edit = with_outstanding(micro, body.as_of, deps.clock.now())

    def checked(account: Account) -> Account:
        if body.currency not in (None, account.currency):
            raise BadInput(
                "currency", body.currency, f"{account.currency}, this account's currency"
            )
        return edit(account)

    entry = AuditEntry(who, f"outstanding set to {format_micro(micro)}")
    changed = await deps.store.change(account_id, checked, entry, versions=versions)
    return await _applied(deps, changed, body, response)


async def _applied(
    deps: Dependencies, changed: ChangeResult, body: OutstandingBody, response: Response
) -> dict[str, Any]:
    assert changed.before is not None, "a client that was changed existed"
    applied = applies(changed.before, body.as_of)
    but = "" if applied else "nothing changes: newer invoices are known"
    answer = await changed_answer(deps, changed, response, but=but)
    return {**answer, "applied": applied}
