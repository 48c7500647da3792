"""/v1/me: a client's own data. The client is that of the session; no request names another."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from accounts.access.clients.store import CLIENT
from accounts.access.scopes import ClientUse, Forbidden
from accounts.api.bodies import Body, InstantText, YesNo
from accounts.api.dependencies import Dependencies, Deps, PageCursor, PageLimit, TheClient
from accounts.api.route_scopes import OWN
from accounts.clients.account import Account, entered, patched
from accounts.clients.answers import situation_of
from accounts.clients.api.bodies import Language, Threshold
from accounts.clients.orders import Author
from accounts.clients.store_publishing import AuditEntry
from accounts.explanations.answers import statement_of
from accounts.own.answers import (
    OwnCallPage,
    OwnExplanation,
    OwnPage,
    OwnPrice,
    OwnPrices,
    OwnStatement,
    own_calls,
    own_explanation,
    own_page,
    own_statement,
)
from accounts.own.prices import Price, flat_price, price, terms_of
from accounts.own.wording import product_is_on, service_words
from accounts.paging import decode_cursor, read_version
from accounts.products.product import packaged
from accounts.refusals import Unknown, unknown_client
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Service

router = APIRouter(prefix="/me", tags=["a client itself"])


class OwnPatch(Body):
    """What a client may change: which mails it gets. What is left out stays unchanged."""

    wants_mail: YesNo | None = None
    language: Language | None = None
    low_balance_threshold: Threshold | None = None


class EndedPage(BaseModel):
    """A session that was ended."""

    ended_at: datetime


@router.get("", dependencies=[OWN])
async def show_me(deps: Deps, client: TheClient) -> OwnPage:
    """The client's credit and service, and which mails it gets."""
    return await _page(deps, client)


@router.patch("", dependencies=[OWN])
async def change_me(body: OwnPatch, deps: Deps, client: TheClient) -> OwnPage:
    """Change which mails the client gets. Money and service are not changed here."""
    if not client.may_change:
        expected = "the client itself: this session is for looking alone"
        raise Forbidden("a session to look", expected, f"refused: expected {expected}")
    author = Author(CLIENT, deps.clock.now())
    changes = body.model_dump(exclude_none=True)

    def enter(before: Account | None) -> Account:
        if before is None:
            raise unknown_client(client.account_id)
        return entered(client.account_id, before, patched(before, changes), author)

    entry = AuditEntry(CLIENT, "mails changed at the client's own page")
    await deps.store.enter_client(client.account_id, enter, entry)
    return await _page(deps, client)


async def _page(deps: Dependencies, client: ClientUse) -> OwnPage:
    row = await deps.overview.client(client.account_id)
    burn = await deps.situation.burn(client.account_id)
    if burn is None:
        raise unknown_client(client.account_id)
    products = await deps.products.of_client(client.account_id)
    names = {each.service.service_id: each.service.name for each in products}
    return own_page(
        row.account,
        burn,
        service_words(row, situation_of(row, deps.clock.now())),
        may_change=client.may_change,
        balance_micro=row.balance_micro or 0,
        products=[
            (names.get(found["service_id"]) or found["service_id"], product_is_on(found))
            for found in row.products
        ],
    )


@router.delete("/session", dependencies=[OWN])
async def leave(deps: Deps, client: TheClient) -> EndedPage:
    """End this session."""
    return EndedPage(ended_at=await deps.client_access.end(client.digest))


@router.get("/calls", dependencies=[OWN])
async def list_my_calls(
    deps: Deps, client: TheClient, cursor: PageCursor = None, limit: PageLimit = 50
) -> OwnCallPage:
    """The client's calls, the newest first; without those that its package hides."""
    return own_calls(await deps.reports.calls(client.account_id, cursor, limit))


@router.get("/calls/{call_id}", dependencies=[OWN])
async def explain_my_call(call_id: UUID, deps: Deps, client: TheClient) -> OwnExplanation:
    """How a call of this client was priced; one of another client does not exist here."""
    account = await deps.store.account(client.account_id)
    found = own_explanation(await deps.explanations.history(call_id), account)
    if found is None:
        raise Unknown("call", str(call_id), "one of the list of your calls")
    return found


@router.get("/statement", dependencies=[OWN])
async def get_my_statement(
    deps: Deps,
    client: TheClient,
    since: Annotated[InstantText | None, Query(description="from this instant on")] = None,
    until: Annotated[InstantText | None, Query(description="before this instant")] = None,
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> OwnStatement:
    """How the client's balance came about: opening, entries, closing."""
    account = await deps.store.account(client.account_id)
    if since is not None and until is not None and until <= since:
        raise BadInput("until", until.isoformat(), f"an instant after since, {since.isoformat()}")
    (before,) = decode_cursor(cursor, read_version)
    found = await deps.explanations.statement(
        client.account_id, (since, until), None, before, limit
    )
    shown = statement_of(client.account_id, account.currency, found, limit)
    calls = {row["entry_id"]: row["cause_id"] for row in found.entries if row["kind"] == "charge"}
    return own_statement(shown, calls)


@router.get("/prices", dependencies=[OWN])
async def list_my_prices(
    deps: Deps,
    client: TheClient,
    number: Annotated[str, Query(max_length=40, description="with its country code")],
) -> OwnPrices:
    """What a minute to a number costs this client now, for each of its products."""
    digits = "".join(char for char in number if char not in " +()-./")
    if not (digits.isascii() and digits.isdigit() and 3 <= len(digits) <= 20):
        raise BadInput("number", number, "digits with country code, such as 14165550100")
    account = await deps.store.account(client.account_id)
    packages = await deps.store.packages()
    found = []
    for product in await deps.products.of_client(client.account_id):
        service = packaged(product, packages.get(product.package_id or ""))
        found += [
            _price_shown(service, band, each, account.currency)
            for band, each in await _prices(deps, service, digits)
        ]
    return OwnPrices(number=digits, items=found)


async def _prices(deps: Dependencies, service: Service, digits: str) -> list[tuple[str, Price]]:
    """The prices of a product, each with the time band it is for."""
    if service.flat_rate is not None:
        return [("", flat_price(service, service.flat_rate))]
    if service.package is None:
        return [("", price_of_none())]
    found = []
    for terms in terms_of(service.package):
        try:
            version = await deps.tariffs.version(terms.tariff_id, None)
        except Unknown:
            row = None
        else:
            row = await deps.tariffs.rate_for(version["version_id"], digits)
        found.append((terms.band, price(service.package, row, terms.markup_percent)))
    return found


def price_of_none() -> Price:
    """The price of a product without a package: its calls wait for one."""
    return Price("", None, "")


def _price_shown(service: Service, band: str, found: Price, currency: str) -> OwnPrice:
    first, _, then = found.increment.partition("/")
    return OwnPrice(
        product=service.name or service.service_id,
        band=band,
        destination=found.destination,
        rate=found.rate,
        currency=currency,
        first_s=int(first or 0),
        then_s=int(then or 0),
        per_call=list(found.per_call),
    )
