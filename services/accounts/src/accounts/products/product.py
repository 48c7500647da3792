"""Products of clients, as they are entered and as they are published. Pure."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from accounts.products.elements import NO_EMERGENCY
from accounts.products.fields import read_product
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import HangUp, Package, Service


class Product(BaseModel):
    """A product of a client: the entered fields, the service they describe, the package's id.

    `entered_hang_up` is the `hang_up` of a request, before `completed` fills in the default.
    """

    model_config = ConfigDict(frozen=True)

    account_id: str
    service: Service
    fields: dict[str, str]
    package_id: str | None = None
    free_minutes: int = 0

    entered_hang_up: HangUp | None = None

    def completed(self, old: "Product | None", now: datetime, *, imported: bool) -> "Product":
        """The product with values for what was left out: those of `old`, or the defaults.

        A new one is billed from `now`. Its `hang_up` is `credit` if it is prepaid, its client was
        not `imported`, and its server can end calls.
        """
        service = self.service
        bill_from = service.bill_from or (old.service.bill_from if old else now)
        hang_up = self.entered_hang_up
        if hang_up is None and old is not None:
            hang_up = old.service.hang_up
        elif hang_up is None:
            ends = service.prepaid and not imported and service.kind != "lesnet"
            hang_up = "credit" if ends else "never"
        if hang_up == "credit" and service.kind == "lesnet":
            hang_up = "never"  # The product was of a kind that can end calls before.
        update = {"bill_from": bill_from, "hang_up": hang_up}
        return self.model_copy(
            update={"service": service.model_copy(update=update), "entered_hang_up": None}
        )


def check_server(product: Product, old: Product | None, servers: frozenset[str] | None) -> None:
    """Raises BadInput for a server that does not exist and was not the product's before.

    `servers` are those that exist; None: not known, any is accepted.
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
    hang_up: HangUp | None = None,
) -> Product:
    """A product from the typed fields. Raises FieldRefused or BadInput."""
    read = read_product(kind, fields)
    if read.free_minutes and package_id is None:
        expected = "0, or a package for the product: free minutes are counted as its package's"
        raise BadInput("Free Minutes", fields["free_minutes"], expected)
    if kind == "lesnet" and hang_up == "credit":
        raise BadInput("hang_up", hang_up, "never: Les.net shows no calls that could be ended")
    service = read.service(
        service_id=service_id, name=name or service_id, server_id=server_id, prepaid=prepaid
    )
    return Product(
        account_id=account_id,
        service=service.model_copy(update={"bill_from": bill_from}),
        fields={name: value for name, value in fields.items() if value.strip()},
        package_id=package_id,
        free_minutes=read.free_minutes,
        entered_hang_up=hang_up,
    )


def packaged(product: Product, package: Package | None) -> Service:
    """The published service: with its package, and the product's own free minutes."""
    if package is not None and product.free_minutes:
        package = package.model_copy(update={"free_minutes": product.free_minutes})
    return product.service.model_copy(update={"package": package})


def product_warnings(product: Product) -> list[str]:
    """Values that are allowed but leave calls unrated, or telephones without 911."""
    service = product.service
    warnings = []
    if product.package_id is None and service.flat_rate is None:
        warnings.append("no package: calls of this product stay unrated until it has one")
    if service.rest_of_tenant:
        warnings.append(
            f"it has every extension of tenant {service.tenant} that no other product has"
        )
    if service.kind == "fusionpbx" and service.way != "outbound":
        how = "with suspend_by outbound, inbound and emergency calls still work"
        warnings.append(f"{NO_EMERGENCY}; {how}")
    elif service.kind == "vodia":
        warnings.append(NO_EMERGENCY)
    if service.hang_up == "credit" and not service.prepaid:
        warnings.append("hang_up credit does nothing: credit never switches a metered product off")
    return warnings
