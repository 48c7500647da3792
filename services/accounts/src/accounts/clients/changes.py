"""The fields of a client before and after a change, as the audit stores them. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from accounts.clients.account import Account, shown_profile
from accounts.clients.orders import ClientOrder, in_force
from accounts.products.product import Product
from ringfence_contracts.money import format_micro

JsonObject = dict[str, Any]


class FieldChanges(NamedTuple):
    """The fields that changed; `before` is None for a new client."""

    before: JsonObject | None
    after: JsonObject | None


def facts(account: Account, now: datetime) -> JsonObject:
    """The fields of a client as people read them, by their names in the API."""
    return {
        **account.client.model_dump(mode="json"),
        **shown_profile(account, now).model_dump(mode="json", exclude={"threshold_micro"}),
        "currency": account.currency,
        "time_zone": account.time_zone,
        "outstanding": format_micro(account.outstanding_micro),
        "credit_limit": format_micro(account.credit_limit_micro),
        "mode": account.mode,
        "leave_off": account.leave_off,
        "imported": account.imported,
        "orders": [order_shown(order) for order in in_force(account.orders, now)],
    }


def order_shown(order: ClientOrder) -> JsonObject:
    """An order as API responses carry it."""
    return {
        "kind": order.kind,
        "product": order.service_id,
        "given_by": order.given_by,
        "reason": order.reason,
        "since": order.since.isoformat(),
        "until": order.until.isoformat() if order.until else None,
        "hang_up": order.hang_up,
    }


def product_facts(product: Product | None) -> JsonObject:
    """The entered fields of a product, under its id; {} for None."""
    if product is None:
        return {}
    service = product.service
    entered = {
        "name": service.name,
        "server_id": service.server_id,
        "prepaid": service.prepaid,
        "hang_up": service.hang_up,
        "package": product.package_id,
        "bill_from": service.bill_from.isoformat() if service.bill_from else None,
        **product.fields,
    }
    return {f"product {service.service_id}": entered}


def difference(before: JsonObject | None, after: JsonObject) -> FieldChanges:
    """The fields that differ; for a product, the fields of it that differ."""
    if before is None:
        return FieldChanges(None, after)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    old, new = _only(before, names), _only(after, names)
    for name in names:
        if isinstance(old.get(name), Mapping) and isinstance(new.get(name), Mapping):
            old[name], new[name] = difference(old[name], new[name])
    return FieldChanges(old, new)


def _only(found: JsonObject, names: list[str]) -> JsonObject:
    return {name: found[name] for name in names if name in found}
