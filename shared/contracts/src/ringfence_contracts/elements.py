"""The elements of a product: the parts of a server that are switched for it. Pure.

An element is a gateway, an extension, an extension's right to call out, a domain or a peer
(architecture, section 4). The suspender records by these names what it switched off.
"""

from typing import Literal, NamedTuple

from ringfence_contracts.events.account import Service
from ringfence_contracts.extension_ranges import ends_of

ElementWay = Literal["gateway", "extensions", "domain", "outbound", "peer"]
REST = "*"
"""The name of the element for all extensions of a tenant that no product has."""


class Element(NamedTuple):
    """One part of a server that can be switched off.

    `tenant` is in lower case; it is empty for FusionPBX's gateways and Les.net's peers. `name` is
    the uuid of a gateway, the id of a trunk, an extension's number, a domain's name, a peer's id.
    """

    way: ElementWay
    tenant: str
    name: str


def elements_of(product: Service) -> tuple[Element, ...]:
    """The elements of a product; a range of extensions, and the rest of its tenant, are one each.

    See `is_open`: which extensions these are is read from the server at the moment of switching.
    """
    tenant = product.tenant.lower()
    if product.kind == "lesnet":
        return (Element("peer", "", product.tenant.upper()),)
    way = product.way
    if way == "domain":
        return (Element("domain", tenant, tenant),)
    if way == "gateway":
        scope = tenant if product.kind == "vodia" else ""
        return tuple(Element("gateway", scope, uuid.lower()) for uuid in product.gateway_ids)
    rest = (REST,) if product.rest_of_tenant else ()
    names = (*product.extensions, *product.extension_ranges, *rest)
    return tuple(Element(way, tenant, name) for name in names)


def is_open(element: Element) -> bool:
    """Whether an element is a number of extensions: a range, or the rest of a tenant."""
    is_number = element.way in ("extensions", "outbound")
    return is_number and (element.name == REST or ends_of(element.name) is not None)
