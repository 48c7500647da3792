"""/v1/clients/{account_id}/orders, suspend, unsuspend and mode: decisions of persons."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response

from accounts.api.dependencies import AccountId, Dependencies, Deps, IfMatch, Who
from accounts.api.route_scopes import OPERATE_CLIENT, READ
from accounts.clients.account import Account, with_order, without_order
from accounts.clients.api.answers import changed_answer
from accounts.clients.api.bodies import ModeBody, OrderBody, UnsuspendBody
from accounts.clients.changes import order_shown
from accounts.clients.orders import ClientOrder, find_order, in_force, read_until
from accounts.clients.response_types import ChangedClient, ChangedMode, OrderList
from accounts.clients.store_publishing import AuditEntry
from accounts.clients.wording import adoption_words
from accounts.refusals import Refusals
from accounts.store import ChangeResult
from accounts.store_writing import ExpectedVersions
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import OrderKind
from ringfence_contracts.events.model import Id, Text

router = APIRouter(prefix="/clients/{account_id}", tags=["orders"])


@router.get(
    "/orders", response_model=OrderList, response_model_exclude_unset=True, dependencies=[READ]
)
async def list_orders(account_id: AccountId, deps: Deps) -> dict[str, Any]:
    """The orders of a client that are in force."""
    account = await deps.store.account(account_id)
    return {"items": [order_shown(o) for o in in_force(account.orders, deps.clock.now())]}


@router.put(
    "/orders/{kind}",
    response_model=ChangedClient,
    response_model_exclude_unset=True,
    dependencies=[OPERATE_CLIENT],
)
async def put_order(
    account_id: AccountId,
    kind: OrderKind,
    deps: Deps,
    who: Who,
    response: Response,
    versions: IfMatch,
    body: OrderBody | None = None,
) -> dict[str, Any]:
    """Give an order; again, it replaces the reason, the end and who gave it."""
    given = body or OrderBody()
    what = f"{kind} order given{_for(given.product)}{_with_calls(given)}"
    entry = AuditEntry(who, what, reason=given.reason)
    changed = await _give(deps, account_id, kind, given, entry, versions)
    return await changed_answer(deps, changed, response)


async def _give(
    deps: Dependencies,
    account_id: str,
    kind: OrderKind,
    body: OrderBody,
    entry: AuditEntry,
    versions: ExpectedVersions,
) -> ChangeResult:
    now = deps.clock.now()

    def edit(account: Account) -> Account:
        until = _checked_until(kind, body, account, now)
        order = ClientOrder(
            kind=kind,
            service_id=body.product,
            given_by=entry.who,
            reason=body.reason,
            since=now,
            until=until,
            hang_up=body.hang_up,
        )
        return with_order(order)(account)

    return await deps.store.change(
        account_id, edit, entry, versions=versions, service_id=body.product
    )


def _checked_until(
    kind: OrderKind, body: OrderBody, account: Account, now: datetime
) -> datetime | None:
    """The end of an order. Raises BadInput or SeveralRefused for what the order cannot have."""
    problems = Refusals()
    typed = body.until
    until = problems.read(
        lambda: None if typed is None else read_until(typed, account.time_zone, now), None
    )
    if kind == "forced" and body.product is not None:
        expected = "none: a forced order is for the whole client"
        problems.found.append(BadInput("product", body.product, expected))
    if kind == "exemption" and body.hang_up:
        expected = "false: an exemption switches nothing off"
        problems.found.append(BadInput("hang_up", body.hang_up, expected))
    if not body.reason.isprintable():
        problems.found.append(BadInput("reason", body.reason, "one line of text"))
    problems.check()
    return until


@router.delete(
    "/orders/{kind}",
    response_model=ChangedClient,
    response_model_exclude_unset=True,
    dependencies=[OPERATE_CLIENT],
)
async def delete_order(
    account_id: AccountId,
    kind: OrderKind,
    deps: Deps,
    who: Who,
    response: Response,
    versions: IfMatch,
    product: Id | None = None,
    reason: Text = "",
) -> dict[str, Any]:
    """End an order."""
    entry = AuditEntry(who, f"{kind} order ended{_for(product)}", reason=reason)
    edit = without_order(kind, product, deps.clock.now())
    changed = await deps.store.change(
        account_id, edit, entry, versions=versions, service_id=product
    )
    return await changed_answer(deps, changed, response)


@router.post(
    "/suspend",
    response_model=ChangedClient,
    response_model_exclude_unset=True,
    dependencies=[OPERATE_CLIENT],
)
async def suspend(
    account_id: AccountId,
    deps: Deps,
    who: Who,
    response: Response,
    versions: IfMatch,
    body: OrderBody | None = None,
) -> dict[str, Any]:
    """Suspend a client, or one product, even with funds: the manual order."""
    given = body or OrderBody()
    what = f"suspended by hand{_for(given.product)}{_with_calls(given)}"
    entry = AuditEntry(who, what, reason=given.reason)
    changed = await _give(deps, account_id, "manual", given, entry, versions)
    return await changed_answer(deps, changed, response)


@router.post(
    "/unsuspend",
    response_model=ChangedClient,
    response_model_exclude_unset=True,
    dependencies=[OPERATE_CLIENT],
)
async def unsuspend(
    account_id: AccountId,
    deps: Deps,
    who: Who,
    response: Response,
    versions: IfMatch,
    body: UnsuspendBody | None = None,
) -> dict[str, Any]:
    """End the manual order of a client, or of one product. Other holds stay."""
    given = body or UnsuspendBody()
    now = deps.clock.now()
    entry = AuditEntry(
        who, f"returned to automatic suspension{_for(given.product)}", reason=given.reason
    )
    changed = await deps.store.change(
        account_id,
        lambda account: _unsuspended(account, given.product, now),
        entry,
        versions=versions,
        service_id=given.product,
    )
    none = f"nothing changes: there is no manual order{_for(given.product)}"
    but = none if changed.before == changed.after else ""
    return await changed_answer(deps, changed, response, but=but)


def _unsuspended(account: Account, product: str | None, now: datetime) -> Account:
    if find_order(account.orders, "manual", product, now) is None:
        return account
    return without_order("manual", product, now)(account)


@router.put(
    "/mode",
    response_model=ChangedMode,
    response_model_exclude_unset=True,
    dependencies=[OPERATE_CLIENT],
)
async def put_mode(
    account_id: AccountId,
    body: ModeBody,
    deps: Deps,
    who: Who,
    response: Response,
    versions: IfMatch,
) -> dict[str, Any]:
    """Set the mode of a client: live switches and mails, shadow only shows what would be.

    `adopts` counts what is off on the PBX of an imported client and now counts as switched off by
    ringfence.
    """
    kept = ", what is off is left off" if body.leave and body.mode == "shadow" else ""
    entry = AuditEntry(who, f"mode set to {body.mode}{kept}", reason=body.reason)
    adopts = 0 if body.mode == "shadow" else await deps.adoptions.count(None, account_id)
    changed = await deps.store.set_mode(account_id, body.mode, body.leave, entry, versions=versions)
    answer = await changed_answer(deps, changed, response)
    if adopts:
        answer["what_happens"] += f"; {adoption_words(adopts)}"
    return {**answer, "adopts": adopts}


def _with_calls(body: OrderBody) -> str:
    return ", calls in progress are ended" if body.hang_up else ""


def _for(product: str | None) -> str:
    return f" for {product}" if product else ""
