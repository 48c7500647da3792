"""/v1/clients: profiles, their list, and what a client owes."""

from typing import Any, Literal

from fastapi import APIRouter, Response

from accounts.api.rooms import AccountId, Cursor, In, Limit, Rooms, Versions, Who
from accounts.clients.account import (
    Account,
    applies,
    entered,
    entry_warnings,
    patched,
    with_outstanding,
)
from accounts.clients.answers import client_shown, explained
from accounts.clients.api.answers import changed_answer, client_answer
from accounts.clients.api.bodies import ClientBody, ClientPatch, OutstandingBody
from accounts.clients.checks import check_not_dropped
from accounts.clients.orders import By
from accounts.clients.overview.store import Filters
from accounts.paging import decode_cursor, page, read_id
from accounts.refusals import unknown_client
from accounts.store import Changed, Deed
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import OperatingMode
from ringfence_contracts.money import format_micro, parse_micro

router = APIRouter(tags=["clients"])

State = Literal["on", "off", "switching", "failed", "no-service", "would-be-off"]
Level = Literal["ok", "low", "exhausted"]


@router.put("/clients/{account_id}")
async def put_client(
    account_id: AccountId,
    body: ClientBody,
    rooms: In,
    who: Who,
    response: Response,
    versions: Versions,
) -> dict[str, Any]:
    """Create a client, or replace its profile. The currency cannot change afterwards.

    Creating one posts its opening balance. A body that was read can be sent back: what ringfence
    says of a client is ignored, and what it wrote itself is no order.
    """
    body.check_path(account_id)
    by = By(who, rooms.clock.now(), matched=versions is not None)
    warnings: list[str] = []

    def enter(before: Account | None) -> Account:
        check_not_dropped(before.profile if before else None, frozenset(body.model_fields_set))
        settings = body.settings()
        warnings[:] = entry_warnings(before, settings, by)
        return entered(account_id, before, settings, by, default_mode=rooms.default_mode)

    changed = await rooms.store.enter_client(
        account_id,
        enter,
        Deed(who, "profile entered"),
        opening_micro=body.opening_micro(),
        versions=versions,
    )
    response.status_code = 200 if changed.before else 201
    return await changed_answer(rooms, changed, response, warnings=warnings)


@router.patch("/clients/{account_id}")
async def patch_client(
    account_id: AccountId,
    body: ClientPatch,
    rooms: In,
    who: Who,
    response: Response,
    versions: Versions,
) -> dict[str, Any]:
    """Change part of a client: what is left out stays as it is."""
    body.check_path(account_id)
    by = By(who, rooms.clock.now(), matched=versions is not None)
    warnings: list[str] = []

    def enter(before: Account | None) -> Account:
        if before is None:
            raise unknown_client(account_id)
        settings = patched(before, body.changes())
        warnings[:] = entry_warnings(before, settings, by)
        return entered(account_id, before, settings, by)

    changed = await rooms.store.enter_client(
        account_id,
        enter,
        Deed(who, "profile changed"),
        opening_micro=body.opening_micro(),
        versions=versions,
    )
    return await changed_answer(rooms, changed, response, warnings=warnings)


@router.get("/clients")
async def list_clients(
    rooms: In,
    search: str | None = None,
    state: State | None = None,
    level: Level | None = None,
    mode: OperatingMode | None = None,
    posted: Literal["yes", "no"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Clients that match, in the order of their ids, and how many there are of them in all."""
    if search is not None and (len(search) > 200 or "\x00" in search):
        raise BadInput("search", search, "at most 200 characters of text")
    filters = Filters(search, state, level, mode, None if posted is None else posted == "yes")
    (after,) = decode_cursor(cursor, read_id)
    now = rooms.clock.now()
    found = await rooms.overview.clients(filters, after, limit + 1)
    rows = [client_shown(row, now) for row in found]
    count = await rooms.overview.count(filters)
    return {**page(rows, limit, lambda row: (row["account_id"],)), "count": count}


@router.get("/clients/{account_id}")
async def get_client(account_id: AccountId, rooms: In, response: Response) -> dict[str, Any]:
    """One client: what PUT takes, and its balance, its level, whether it is on, and why."""
    return await client_answer(rooms, account_id, response)


@router.get("/clients/{account_id}/explanation")
async def get_explanation(account_id: AccountId, rooms: In) -> dict[str, Any]:
    """Why a client is on or off, in words, and for each of its products."""
    return explained(await rooms.overview.client(account_id), rooms.clock.now())


@router.get("/clients/{account_id}/audit")
async def get_audit(
    account_id: AccountId, rooms: In, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """What was done to a client, the newest first: who, when, why, and what it changed."""
    await rooms.store.account(account_id)
    return await rooms.history.of_client(account_id, cursor, limit)


@router.put("/clients/{account_id}/outstanding")
async def put_outstanding(
    account_id: AccountId,
    body: OutstandingBody,
    rooms: In,
    who: Who,
    response: Response,
    versions: Versions,
) -> dict[str, Any]:
    """Set the sum of the client's unpaid invoices. `applied` is false, and nothing changes, when
    newer ones are known.
    """
    micro = parse_micro(body.amount)
    if micro < 0:
        raise BadInput("amount", body.amount, "0 or more")
    edit = with_outstanding(micro, body.as_of, rooms.clock.now())

    def checked(account: Account) -> Account:
        if body.currency not in (None, account.currency):
            raise BadInput(
                "currency", body.currency, f"{account.currency}, this account's currency"
            )
        return edit(account)

    done = Deed(who, f"outstanding set to {format_micro(micro)}")
    changed = await rooms.store.change(account_id, checked, done, versions=versions)
    return await _applied(rooms, changed, body, response)


async def _applied(
    rooms: Rooms, changed: Changed, body: OutstandingBody, response: Response
) -> dict[str, Any]:
    assert changed.before is not None, "a client that was changed existed"
    applied = applies(changed.before, body.as_of)
    but = "" if applied else "nothing changes: newer invoices are known"
    answer = await changed_answer(rooms, changed, response, but=but)
    return {**answer, "applied": applied}
