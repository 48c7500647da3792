"""/v1/clients/{account_id}/products: products, in the formats that operators type."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from accounts.access.scopes import check_servers
from accounts.api.bodies import Body, ProductBody
from accounts.api.dependencies import AccountId, Dependencies, Deps, IfMatch, TheCaller, Who
from accounts.api.requests import Requested, publish_request
from accounts.api.route_scopes import OPERATE_CLIENT, READ
from accounts.clients.answers import situation_of
from accounts.clients.store_publishing import AuditEntry
from accounts.clients.versions import etag
from accounts.clients.wording import ends_when, what_happens_to
from accounts.products.answers import ChangedProduct, ProductAnswer, ProductList
from accounts.products.elements import emergency_words
from accounts.products.leaving import OffElement, leaving_words, shown_elements
from accounts.products.product import Product, enter_product, product_warnings
from ringfence_contracts.events.model import Id, Text

router = APIRouter(prefix="/clients/{account_id}/products", tags=["products"])

Release = Annotated[
    bool,
    Query(description="what leaves the product while it is off is switched on at once"),
]


class RemovedProduct(BaseModel):
    """The result of removing a product.

    `stays_off` are elements that were switched off for it and that no product names; `words` say
    until when, and how to release them. `release_request` is the command that releases them, if
    that was requested.
    """

    account_id: str
    service_id: str
    version: int
    stays_off: list[OffElement]
    words: str
    release_request: UUID | None


class ReasonBody(Body):
    """The reason of a request."""

    reason: Text = ""


@router.put(
    "/{service_id}",
    response_model=ChangedProduct,
    response_model_exclude_unset=True,
    responses={201: {"model": ChangedProduct}},
    dependencies=[OPERATE_CLIENT],
)
async def put_product(
    account_id: AccountId,
    service_id: Id,
    body: ProductBody,
    deps: Deps,
    who: Who,
    caller: TheCaller,
    response: Response,
    versions: IfMatch,
    release: Release = False,
) -> dict[str, Any]:
    """Create or replace a product. A malformed field is refused, and nothing changes.

    Elements that leave the product while it is off stay off until the hold ends; the response
    names them.
    """
    check_servers(caller, [body.server_id])
    product = enter_product(
        account_id,
        service_id,
        kind=body.kind,
        name=body.name,
        server_id=body.server_id,
        prepaid=body.prepaid,
        package_id=body.package,
        fields=body.fields(),
        bill_from=body.bill_from,
        hang_up=body.hang_up,
    )
    until = await _until(deps, account_id, service_id)
    entry = AuditEntry(who, f"product {service_id} entered")
    entered = await deps.products.put(
        product, entry, servers=deps.known_servers(), versions=versions, release=release
    )
    response.status_code = 200 if entered.old else 201
    response.headers["ETag"] = etag(entered.account.version)
    words = leaving_words(
        entered.leaving,
        until=until,
        released=release,
        how="`ringfence product set` again with --release",
        now=entered.product.service,
    )
    situation = situation_of(await deps.overview.client(account_id), deps.clock.now())
    return {
        **product_shown(entered.product),
        "version": entered.account.version,
        "what_happens": what_happens_to(situation, service_id),
        "stays_off": [element.model_dump() for element in shown_elements(entered.leaving)],
        "words": words,
        "release_request": entered.release_id,
        "warnings": product_warnings(entered.product),
    }


async def _until(deps: Dependencies, account_id: str, service_id: str) -> str:
    """What would end the holds of a product before a change; empty if it has none."""
    situation = situation_of(await deps.overview.client(account_id), deps.clock.now())
    found = (p for p in situation.products if p.service_id == service_id)
    return next((ends_when(situation, product) for product in found), "")


@router.get("", response_model=ProductList, response_model_exclude_unset=True, dependencies=[READ])
async def list_products(account_id: AccountId, deps: Deps) -> dict[str, Any]:
    """All products of a client."""
    found = await deps.products.of_client(account_id)
    return {"items": [product_shown(product) for product in found], "next": None}


@router.get(
    "/{service_id}",
    response_model=ProductAnswer,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def get_product(account_id: AccountId, service_id: Id, deps: Deps) -> dict[str, Any]:
    """One product: the typed fields, and the service that they describe."""
    return product_shown(await deps.products.get(account_id, service_id))


@router.delete("/{service_id}", dependencies=[OPERATE_CLIENT])
async def delete_product(
    account_id: AccountId,
    service_id: Id,
    deps: Deps,
    who: Who,
    response: Response,
    versions: IfMatch,
    release: Release = False,
) -> RemovedProduct:
    """Remove a product. Calls of it that come later go to the unrated queue.

    What was switched off for it stays off while the client is off; with `release` it is switched
    on at once, also when the product was removed before.
    """
    until = await _until(deps, account_id, service_id)
    entry = AuditEntry(who, f"product {service_id} removed")
    removed = await deps.products.remove(
        account_id, service_id, entry, versions=versions, release=release
    )
    response.headers["ETag"] = etag(removed.account.version)
    words = leaving_words(
        removed.leaving,
        until=until,
        released=release,
        how=f"ringfence product remove {account_id} {service_id} --release",
        now=None,
    )
    return RemovedProduct(
        account_id=account_id,
        service_id=service_id,
        version=removed.account.version,
        stays_off=shown_elements(removed.leaving),
        words=words,
        release_request=removed.release_id,
    )


@router.post("/{service_id}/reapply", status_code=202, dependencies=[OPERATE_CLIENT])
async def reapply_product(
    account_id: AccountId, service_id: Id, deps: Deps, who: Who, body: ReasonBody | None = None
) -> Requested:
    """Bring a product to its desired state again, even if that state was confirmed before."""
    await deps.products.get(account_id, service_id)
    arguments = {"account_id": account_id, "service_id": service_id}
    reason = body.reason if body else ""
    return await publish_request(deps, "service.reapply", arguments, who, reason)


def product_shown(product: Product) -> dict[str, Any]:
    """A product as API responses carry it: the fields that PUT takes, and the service."""
    service = product.service
    return {
        "account_id": product.account_id,
        "service_id": service.service_id,
        "kind": service.kind,
        "name": service.name,
        "server_id": service.server_id,
        "prepaid": service.prepaid,
        "package": product.package_id,
        "bill_from": service.bill_from,
        "hang_up": service.hang_up,
        "emergency": emergency_words(service.kind, service.way),
        **product.fields,
        "service": service.model_dump(mode="json", exclude={"package"}),
    }
