"""/v1/calls/{call} and /v1/clients/{account_id}/statement: a call and a balance, explained."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from accounts.api.bodies import InstantText
from accounts.api.dependencies import AccountId, Deps, PageCursor, PageLimit
from accounts.api.route_scopes import READ
from accounts.explanations.answers import (
    CallExplanation,
    PostedKind,
    Statement,
    call_explanation,
    payment_explanation,
    statement_of,
)
from accounts.explanations.call_name import read_call_name
from accounts.explanations.store import ExplanationStore
from accounts.paging import decode_cursor, read_version
from accounts.refusals import Unknown
from accounts.typed.short_ids import IdRange, the_only_one
from ringfence_contracts.errors import BadInput

router = APIRouter(tags=["questions"])

_LOOK_UP = (
    "`ringfence account ACCOUNT` lists the entries of a client, `ringfence unrated` the calls that"
    " wait; a call that has just ended may not have been read yet"
)
_PAYMENTS = ("top-up", "adjustment")


@router.get("/calls/{call:path}", dependencies=[READ])
async def explain_call(
    call: Annotated[
        str,
        Path(
            max_length=500,
            description="the id of a call or a ledger entry, its first 8 digits or more, or"
            " ID@SERVER with the id that the PBX gave the call",
        ),
    ],
    deps: Deps,
) -> CallExplanation:
    """What became of a call, and how it was priced; or what a ledger entry is."""
    store = deps.explanations
    found_id = await _id_of(store, call, read_call_name(call))
    history = await store.history(found_id)
    if not history.is_empty:
        return call_explanation(history)
    entry = await store.entry(found_id)
    if entry is None:
        raise Unknown("call", call, _LOOK_UP)
    if entry["kind"] in _PAYMENTS:
        return payment_explanation(entry)
    return call_explanation(await store.history(entry["cause_id"]))


async def _id_of(store: ExplanationStore, call: str, wanted: IdRange) -> UUID:
    """The one id that begins so. Raises Unknown for none, Clash for several."""
    if wanted.first == wanted.last:
        return wanted.first
    return the_only_one("call", call, await store.ids_in(wanted), _LOOK_UP)


@router.get("/clients/{account_id}/statement", dependencies=[READ])
async def get_statement(
    account_id: AccountId,
    deps: Deps,
    since: Annotated[
        InstantText | None, Query(description="entries posted from this instant on")
    ] = None,
    until: Annotated[
        InstantText | None, Query(description="entries posted before this instant")
    ] = None,
    kind: Annotated[
        PostedKind | None, Query(description="only these entries; the sums count all")
    ] = None,
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> Statement:
    """How a client's balance came about: opening, entries, closing, and whether they add up."""
    account = await deps.store.account(account_id)
    if since is not None and until is not None and until <= since:
        raise BadInput("until", until.isoformat(), f"an instant after since, {since.isoformat()}")
    (before,) = decode_cursor(cursor, read_version)
    found = await deps.explanations.statement(account_id, (since, until), kind, before, limit)
    return statement_of(account_id, account.currency, found, limit)
