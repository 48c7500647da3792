"""What is switched on a server, part by part: the elements that a product names. Pure.

An element is a gateway, an extension, an extension's right to call out, a domain, a peer
(architecture, section 4). The suspender records what it switched off by these names.
"""

from typing import Literal, NamedTuple

from ringfence_contracts.events.account import Service

ElementWay = Literal["gateway", "extensions", "domain", "outbound", "peer"]
REST = "*"
"""The name that stands for all extensions of the tenant that no product lists."""


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
