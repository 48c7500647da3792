"""The reference for switching: what each part of a PBX is allowed to be when all is at rest."""

from dataclasses import dataclass, field

from ringfence_local.demo.sample import SampleClient

EXTENSIONS = ("2112", "2113")

Part = tuple[str, str]
"""A gateway by its uuid, an extension by its tenant and number: what is switched on the PBX."""


@dataclass
class ReferenceProduct:
    """A product: its tenant and trunk on the PBX, and what of them it is switched by."""

    sample: SampleClient
    by: str
    prepaid: bool = True
    extensions: tuple[str, ...] = EXTENSIONS

    @property
    def parts(self) -> set[Part]:
        """What it names for switching."""
        if self.by == "gateway":
            return {("gateway", self.sample.gateway_id)}
        return {(self.sample.tenant, number) for number in self.extensions}


@dataclass
class Left:
    """A part that left a product: it was off at the last rest, and stays so as long as the hold.

    `service_id` is the product, `prepaid` what it was; `unsure`: the hold for which it was switched
    off may have ended since.
    """

    service_id: str
    prepaid: bool
    off: bool
    unsure: bool = False


@dataclass
class ReferenceAccount:
    """What the reference knows of a client: what was asked, in the order in which it was."""

    account_id: str
    credit: int
    debts: int = 0
    orders: set[tuple[str, str | None]] = field(default_factory=set)
    products: dict[str, ReferenceProduct] = field(default_factory=dict)
    left: dict[Part, Left] = field(default_factory=dict)
    changes: int = 0

    def may_be_off(self, service_id: str, *, prepaid: bool) -> set[bool]:
        """The reference: whether the element may be off. Both, where debts are within credit."""
        scopes = (None, service_id)
        if any((kind, s) in self.orders for kind in ("manual", "forced", "whmcs") for s in scopes):
            return {True}
        if not prepaid or any(("exemption", scope) in self.orders for scope in scopes):
            return {False}
        if self.credit <= 0 or self.debts > self.credit:
            return {True}
        return {False} if self.debts == 0 else {True, False}

    def may_stay_off(self, left: Left) -> set[bool]:
        """The reference for what left a product: on, once the hold has ended."""
        product = self.products.get(left.service_id)
        prepaid = product.prepaid if product else left.prepaid
        held = self.may_be_off(left.service_id, prepaid=prepaid)
        if not left.off or held == {False}:
            return {False}
        return {True, False} if left.unsure else held


def all_parts(sample: SampleClient) -> set[Part]:
    """A tenant's trunk and its telephones."""
    by_extension = {(sample.tenant, number) for number in sample.extensions}
    return {("gateway", sample.gateway_id), *by_extension}
