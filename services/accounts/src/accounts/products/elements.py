"""What is switched of a product, element by element, and what of it stays off: pure.

The same names as the suspender's (architecture, section 4): it records what it switched off in
`report.switched_off`. What no product names any more stays off as long as the hold lasts for which
it was switched off.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from ringfence.events.account import Service

ElementWay = Literal["gateway", "extensions", "domain", "outbound", "peer"]
REST = "*"
"""Stands for all extensions of the tenant that no product lists."""


class Element(NamedTuple):
    """One thing that can be off on a server: a gateway, an extension, a domain, a peer.

    `tenant` is in lower case, and empty for FusionPBX's gateways and Les.net's peers.
    """

    way: ElementWay
    tenant: str
    name: str


class Left(NamedTuple):
    """An element that stays off on its server, though no product names it any more."""

    server_id: str
    element: Element


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
        return tuple(Element("gateway", scope, name.lower()) for name in product.gateway_ids)
    names = (*product.extensions, *((REST,) if product.rest_of_tenant else ()))
    return tuple(Element(way, tenant, name) for name in names)


def left_behind(recorded: Iterable[Element], products: Sequence[Service]) -> tuple[Element, ...]:
    """Those of the elements of one server that none of its `products` names, in their order.

    An owner of the rest of a tenant names every extension of it that no product lists.
    """
    named = {element for product in products for element in elements_of(product)}
    return tuple(
        element
        for element in sorted(recorded)
        if element not in named and element._replace(name=REST) not in named
    )


_NOUNS = {
    "gateway": ("gateway", "gateways"),
    "extensions": ("extension", "extensions"),
    "outbound": ("outbound calls of extension", "outbound calls of extensions"),
    "domain": ("domain", "domains"),
    "peer": ("peer", "peers"),
}
_SHOWN = 12


def elements_words(elements: Sequence[Element]) -> str:
    """Elements in words: `extensions 101 | 102 and gateway 7b3c…`; a long list is cut."""
    parts = []
    for way, (one, many) in _NOUNS.items():
        names = [element.name for element in elements if element.way == way]
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            listed = " | ".join(names[:_SHOWN])
            parts.append(f"{one if len(names) == 1 else many} {listed}{more}")
    return " and ".join(parts)


def emergency_words(kind: str, way: str) -> str:
    """What becomes of emergency calls while a product of this kind is off, switched this way."""
    if way == "outbound" and kind == "fusionpbx":
        return "inbound and emergency calls still work while it is off"
    return NO_EMERGENCY


NO_EMERGENCY = "911 does not work while it is off"
