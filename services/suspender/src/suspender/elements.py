"""What is switched on a server, part by part, and what of it is to be off: pure.

An element is a gateway, an extension, an extension's right to call out, a domain, a peer. Products
name elements; services are desired off or on; what we switched off is on record with its state
before. From these three follows what has to be done (architecture, section 4).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ringfence.events.account import Service

ElementWay = Literal["gateway", "extensions", "domain", "outbound", "peer"]
REST = "*"
"""The name that stands for all extensions of the tenant that no product lists."""

ServiceKey = tuple[str, str]
"""Account and service."""


class Element(NamedTuple):
    """One thing that can be off on a server.

    `tenant` is in lower case; it is empty for FusionPBX's gateways and Les.net's peers. `name` is
    the uuid of a gateway, the id of a trunk, an extension's number, a domain's name, a peer's id.
    """

    way: ElementWay
    tenant: str
    name: str


def elements_of(product: Service) -> tuple[Element, ...]:
    """The elements that a product names; the rest of its tenant as one, named `REST`."""
    tenant = product.tenant.lower()
    if product.kind == "lesnet":
        return (Element("peer", "", product.tenant.upper()),)
    way = product.way
    if way == "domain":
        return (Element("domain", tenant, tenant),)
    if way == "gateway":
        scope = tenant if product.kind == "vodia" else ""
        return tuple(Element("gateway", scope, uuid.lower()) for uuid in product.gateway_ids)
    names = (*product.extensions, *((REST,) if product.rest_of_tenant else ()))
    return tuple(Element(way, tenant, name) for name in names)


@dataclass(frozen=True)
class Record:
    """What is on record of an element that we switched off, or found off at its turn.

    `was_on` false: it was off before, so releasing it changes nothing. `value` is what was stored
    in place of a flag. `owner` is the service for whose hold it was switched off. `released`: an
    operator wants it on though that hold lasts.
    """

    element: Element
    owner: ServiceKey
    was_on: bool
    value: str = ""
    released: bool = False


class Claim(NamedTuple):
    """A service that names an element. `off`: it is desired off."""

    service: ServiceKey
    off: bool


class OwnerState(NamedTuple):
    """The owner of a record now.

    `ways` are those of the elements that it names on this server, empty if it departed.
    `is_elsewhere`: it names elements on another server. `is_confirmed`: what is desired of it was
    read back.
    """

    off: bool
    is_confirmed: bool
    ways: frozenset[ElementWay]
    is_elsewhere: bool = False


def is_to_be_off(
    element: Element,
    claims: Collection[Claim],
    record: Record | None,
    owners: Mapping[ServiceKey, OwnerState],
) -> bool:
    """Whether an element is to be off.

    One service that names it and is to be on keeps it on. What no product names any more stays off
    as long as the service is desired off for which it was switched off; where that service is
    switched another way now, or on another server, until the new way is confirmed.
    """
    if claims:
        return all(claim.off for claim in claims)
    if record is None or record.released:
        return False
    owner = owners.get(record.owner)
    if owner is None or not owner.off:
        return False
    has_other_way = owner.is_elsewhere or (bool(owner.ways) and element.way not in owner.ways)
    return not (has_other_way and owner.is_confirmed)
