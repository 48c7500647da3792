"""/v1/clients: profiles, what is outstanding, suspension by hand."""

from typing import Any

from fastapi import APIRouter, Response

from accounts.account import (
    Account,
    entered,
    suspension_warnings,
    with_manual_suspend,
    with_outstanding,
)
from accounts.api.bodies import ClientBody, OutstandingBody
from accounts.api.rooms import AccountId, Cursor, In, Limit, Who
from accounts.paging import decode_cursor, page, read_id
from accounts.store import Deed
from ringfence.errors import BadInput
from ringfence.money import format_micro, parse_micro

router = APIRouter(tags=["clients"])


@router.put("/clients/{account_id}")
async def put_client(
    account_id: AccountId, body: ClientBody, rooms: In, who: Who, response: Response
) -> dict[str, Any]:
    """Create a client, or replace its profile. The currency can not change afterwards."""
    account, new = await rooms.store.enter_client(
        account_id,
        lambda before: entered(account_id, before, body.settings()),
        Deed(who, "profile entered"),
    )
    response.status_code = 201 if new else 200
    return client_shown(account)


@router.get("/clients")
async def list_clients(rooms: In, cursor: Cursor = None, limit: Limit = 50) -> dict[str, Any]:
    """Clients in the order of their ids."""
    (after,) = decode_cursor(cursor, read_id)
    found = await rooms.store.accounts(after, limit + 1)
    rows = [client_shown(account) for account in found]
    return page(rows, limit, lambda row: (row["account_id"],))


@router.get("/clients/{account_id}")
async def get_client(account_id: AccountId, rooms: In) -> dict[str, Any]:
    """One client, with what could not be switched on a PBX."""
    account = await rooms.store.account(account_id)
    failures = await rooms.store.failures(account_id)
    return {**client_shown(account), "suspension_failures": failures}


@router.put("/clients/{account_id}/outstanding")
async def put_outstanding(
    account_id: AccountId, body: OutstandingBody, rooms: In, who: Who
) -> dict[str, Any]:
    """Set the sum of the client's unpaid invoices."""
    micro = parse_micro(body.amount)
    if micro < 0:
        raise BadInput("amount", body.amount, "0 or more")
    done = Deed(who, f"outstanding set to {format_micro(micro)}")
    return client_shown(await rooms.store.change(account_id, with_outstanding(micro), done))


@router.post("/clients/{account_id}/suspend")
async def suspend(account_id: AccountId, rooms: In, who: Who) -> dict[str, Any]:
    """Suspend all services of a client, even with funds: Manual VoIP Suspend = Yes."""
    done = Deed(who, "suspended by hand")
    return _switched(await rooms.store.change(account_id, with_manual_suspend("Yes"), done))


@router.post("/clients/{account_id}/unsuspend")
async def unsuspend(account_id: AccountId, rooms: In, who: Who) -> dict[str, Any]:
    """Return a client to the rules of its credit: Manual VoIP Suspend = None."""
    done = Deed(who, "returned to automatic suspension")
    return _switched(await rooms.store.change(account_id, with_manual_suspend("None"), done))


def client_shown(account: Account) -> dict[str, Any]:
    """A client as answers carry it; the names are those that PUT takes."""
    profile = account.profile
    return {
        "account_id": account.account_id,
        "version": account.version,
        "currency": account.currency,
        "time_zone": account.time_zone,
        **account.client.model_dump(),
        **profile.model_dump(exclude={"threshold_micro"}),
        "threshold_micro": profile.threshold_micro,
        "outstanding_micro": account.outstanding_micro,
        "outstanding": format_micro(account.outstanding_micro),
    }


def _switched(account: Account) -> dict[str, Any]:
    return {**client_shown(account), "warnings": suspension_warnings(account.profile)}
