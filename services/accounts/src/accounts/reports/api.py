"""Routes of reports: balances, ledgers, calls, services, the unrated queue. Read only."""

from typing import Any

from fastapi import APIRouter

from accounts.api.dependencies import AccountId, Deps, PageCursor, PageLimit
from accounts.api.route_scopes import READ
from accounts.reports.answers import BalanceAnswer, CallPage, LedgerPage, ServicePage, UnratedPage

router = APIRouter(tags=["questions"])


@router.get(
    "/clients/{account_id}/balance",
    response_model=BalanceAnswer,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def balance(account_id: AccountId, deps: Deps) -> dict[str, Any]:
    """A client's credit."""
    account = await deps.store.account(account_id)
    return await deps.reports.balance(account_id, account.currency)


@router.get(
    "/clients/{account_id}/ledger",
    response_model=LedgerPage,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def ledger(
    account_id: AccountId, deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> dict[str, Any]:
    """A client's ledger, the newest entry first."""
    await deps.store.account(account_id)
    return await deps.reports.ledger(account_id, cursor, limit)


@router.get(
    "/clients/{account_id}/calls",
    response_model=CallPage,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def calls(
    account_id: AccountId, deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> dict[str, Any]:
    """A client's calls, the newest first, with how each was priced."""
    await deps.store.account(account_id)
    return await deps.reports.calls(account_id, cursor, limit)


@router.get(
    "/clients/{account_id}/services",
    response_model=ServicePage,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def client_services(
    account_id: AccountId, deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> dict[str, Any]:
    """The desired and the confirmed state of a client's services."""
    await deps.store.account(account_id)
    return await deps.reports.services(account_id, cursor, limit)


@router.get(
    "/services", response_model=ServicePage, response_model_exclude_unset=True, dependencies=[READ]
)
async def services(deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50) -> dict[str, Any]:
    """The desired and the confirmed state of the services of all clients."""
    return await deps.reports.services(None, cursor, limit)


@router.get(
    "/unrated", response_model=UnratedPage, response_model_exclude_unset=True, dependencies=[READ]
)
async def unrated(deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50) -> dict[str, Any]:
    """Calls that could not be rated, the oldest first, each with its reason."""
    return await deps.reports.unrated(cursor, limit)
