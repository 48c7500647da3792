"""Products of clients: what one is, and what two of them must not share. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from accounts.product_fields import read_product
from accounts.refusals import Clash
from ringfence.errors import BadInput
from ringfence.events.account import Package, Service


class Product(BaseModel):
    """A client's product: its fields as entered, the service they describe, its package's id."""

    model_config = ConfigDict(frozen=True)

    account_id: str
    service: Service
    fields: dict[str, str]
    package_id: str | None = None
    free_minutes: int = 0

    def billed_from(self, old: "Product | None", now: datetime) -> "Product":
        """The product with its bill-from instant: as entered, or else as `old` has it; a new one
        is billed from `now` on.
        """
        if self.service.bill_from is not None:
            return self
        instant = old.service.bill_from if old else now
        service = self.service.model_copy(update={"bill_from": instant})
        return self.model_copy(update={"service": service})


def check_server(product: Product, old: Product | None, servers: frozenset[str] | None) -> None:
    """Raises BadInput for a server that is new to the product and does not exist.

    `servers` are those that exist; None: not known.
    """
    server_id = product.service.server_id
    if servers is None or server_id in servers:
        return
    if old is not None and old.service.server_id == server_id:
        return
    known = ", ".join(sorted(servers)) or "none: the servers file is missing, or names none"
    raise BadInput("server_id", server_id, f"a server of the servers file ({known})")


def enter_product(
    account_id: str,
    service_id: str,
    *,
    kind: str,
    name: str,
    server_id: str,
    prepaid: bool,
    package_id: str | None,
    fields: Mapping[str, str],
    bill_from: datetime | None = None,
) -> Product:
    """A product from what was typed. Raises FieldRefused or BadInput; nothing is half applied."""
    read = read_product(kind, fields)
    if read.free_minutes and package_id is None:
        expected = "0, or a package for the product: free minutes are counted as its package's"
        raise BadInput("Free Minutes", fields["free_minutes"], expected)
    service = read.service(
        service_id=service_id, name=name or service_id, server_id=server_id, prepaid=prepaid
    )
    return Product(
        account_id=account_id,
        service=service.model_copy(update={"bill_from": bill_from}),
        fields={name: value for name, value in fields.items() if value.strip()},
        package_id=package_id,
        free_minutes=read.free_minutes,
    )


def check_shared(product: Product, others: Sequence[Product]) -> None:
    """Refuse what would bill a call twice, or switch off somebody else's telephones.

    `others` stand on the same server. Raises Clash when another product of the same tenant bills
    the same extension, or when another client's product uses one of the gateways that this one
    is suspended by (or the other way round).
    """
    mine = product.service
    for other in others:
        theirs = other.service
        if theirs.service_id == mine.service_id:
            continue
        shared = set(mine.extensions) & set(theirs.extensions)
        if theirs.tenant == mine.tenant and shared:
            what = f"product {theirs.service_id} of client {other.account_id} bills it already"
            raise Clash("extensions", " | ".join(sorted(shared)), what)
        gateways = set(mine.gateway_ids) & set(theirs.gateway_ids)
        switched = "gateway" in (mine.suspend_by, theirs.suspend_by)
        if gateways and switched and other.account_id != product.account_id:
            what = (
                f"client {other.account_id} uses it too (product {theirs.service_id}), and would "
                "be switched off with it; suspend by extensions"
            )
            raise Clash("gateway_ids", " | ".join(sorted(gateways)), what)


def packaged(product: Product, package: Package | None) -> Service:
    """The service as it is published: with its package, and the product's own free minutes."""
    if package is not None and product.free_minutes:
        package = package.model_copy(update={"free_minutes": product.free_minutes})
    return product.service.model_copy(update={"package": package})


def product_warnings(product: Product) -> list[str]:
    """What is allowed in a product and yet leaves calls unrated."""
    if product.package_id is None and product.service.flat_rate is None:
        return ["no package: calls of this product stay unrated until it has one"]
    return []
