"""/v1/clients/{account_id}/products: what a client has, in the formats that operators type."""

from typing import Any

from fastapi import APIRouter, Response

from accounts.api.bodies import ProductBody
from accounts.api.rooms import AccountId, In, Versions, Who
from accounts.clients.versions import etag
from accounts.product import Product, enter_product, product_warnings
from accounts.store import Deed
from ringfence.events.model import Id

router = APIRouter(prefix="/clients/{account_id}/products", tags=["products"])


@router.put("/{service_id}")
async def put_product(
    account_id: AccountId,
    service_id: Id,
    body: ProductBody,
    rooms: In,
    who: Who,
    response: Response,
    versions: Versions,
) -> dict[str, Any]:
    """Create or replace a product. A malformed field is refused, and nothing changes."""
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
    )
    done = Deed(who, f"product {service_id} entered")
    product, account, new = await rooms.store.put_product(
        product, done, servers=rooms.known_servers(), versions=versions
    )
    response.status_code = 201 if new else 200
    response.headers["ETag"] = etag(account.version)
    shown = product_shown(product)
    return {**shown, "version": account.version, "warnings": product_warnings(product)}


@router.get("")
async def list_products(account_id: AccountId, rooms: In) -> dict[str, Any]:
    """All products of a client."""
    found = await rooms.store.products(account_id)
    return {"items": [product_shown(product) for product in found], "next": None}


@router.get("/{service_id}")
async def get_product(account_id: AccountId, service_id: Id, rooms: In) -> dict[str, Any]:
    """One product: as it was typed, and what was read from it."""
    return product_shown(await rooms.store.product(account_id, service_id))


@router.delete("/{service_id}")
async def delete_product(
    account_id: AccountId,
    service_id: Id,
    rooms: In,
    who: Who,
    response: Response,
    versions: Versions,
) -> dict[str, Any]:
    """Remove a product. Calls of it that come later go to the unrated queue."""
    done = Deed(who, f"product {service_id} removed")
    account = await rooms.store.delete_product(account_id, service_id, done, versions=versions)
    response.headers["ETag"] = etag(account.version)
    return {"account_id": account_id, "service_id": service_id, "version": account.version}


def product_shown(product: Product) -> dict[str, Any]:
    """A product as answers carry it: the names that PUT takes, and the service they gave."""
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
        **product.fields,
        "service": service.model_dump(mode="json", exclude={"package"}),
    }
