"""Questions: balances, ledgers, calls, services, the unrated queue. All read only."""

from typing import Any

from fastapi import APIRouter

from accounts.api.rooms import AccountId, Cursor, In, Limit

router = APIRouter(tags=["questions"])


@router.get("/clients/{account_id}/balance")
async def balance(account_id: AccountId, rooms: In) -> dict[str, Any]:
    """A client's credit."""
    account = await rooms.store.account(account_id)
    return await rooms.reports.balance(account_id, account.currency)


@router.get("/clients/{account_id}/ledger")
async def ledger(
    account_id: AccountId, rooms: In, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """A client's ledger, the newest entry first."""
    await rooms.store.account(account_id)
    return await rooms.reports.ledger(account_id, cursor, limit)


@router.get("/clients/{account_id}/calls")
async def calls(
    account_id: AccountId, rooms: In, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """A client's calls, the newest first, with how each was priced."""
    await rooms.store.account(account_id)
    return await rooms.reports.calls(account_id, cursor, limit)


@router.get("/clients/{account_id}/services")
async def client_services(
    account_id: AccountId, rooms: In, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """Whether a client's services are on, and whether they are meant to be."""
    await rooms.store.account(account_id)
    return await rooms.reports.services(account_id, cursor, limit)


@router.get("/services")
async def services(rooms: In, cursor: Cursor = None, limit: Limit = 50) -> dict[str, Any]:
    """The same for the services of all clients."""
    return await rooms.reports.services(None, cursor, limit)


@router.get("/unrated")
async def unrated(rooms: In, cursor: Cursor = None, limit: Limit = 50) -> dict[str, Any]:
    """Calls that could not be rated, the oldest first, each with its reason."""
    return await rooms.reports.unrated(cursor, limit)
