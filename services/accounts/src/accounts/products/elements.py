"""The switched elements of a product, and those that stay off after they left it. Pure.

Elements have the names of the suspender (architecture, section 4), which records what it switched
off in `report.switched_off`. An element that no product names any more stays off until the hold
ends for which it was switched off.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ringfence_contracts.elements import REST, Element, elements_of, is_open
from ringfence_contracts.events.account import Service
from ringfence_contracts.extension_ranges import in_range


class LeftElement(NamedTuple):
    """An element that stays off on its server although no product names it any more."""

    server_id: str
    element: Element


def left_behind(recorded: Iterable[Element], products: Sequence[Service]) -> tuple[Element, ...]:
    """The recorded elements of one server that none of its `products` names, sorted.

    A product with a range names every extension of it, one with the rest of a tenant every
    extension that no other product has.
    """
    named = {element for product in products for element in elements_of(product)}
    ranges = [element for element in named if is_open(element) and element.name != REST]
    return tuple(
        element
        for element in sorted(recorded)
        if element not in named
        and element._replace(name=REST) not in named
        and not any(_is_within(element, one) for one in ranges)
    )


def _is_within(element: Element, of: Element) -> bool:
    same = (element.way, element.tenant) == (of.way, of.tenant)
    return same and in_range(element.name, of.name)


_NOUNS = {
    "gateway": ("gateway", "gateways"),
    "extensions": ("extension", "extensions"),
    "outbound": ("outbound calls of extension", "outbound calls of extensions"),
    "domain": ("domain", "domains"),
    "peer": ("peer", "peers"),
}
_SHOWN = 12


def elements_words(elements: Sequence[Element]) -> str:
    """Elements as text: `extensions 101 | 102 and gateway 7b3c…`; a long list is cut."""
    parts = []
    for way, (one, many) in _NOUNS.items():
        names = [element.name for element in elements if element.way == way]
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            listed = " | ".join(names[:_SHOWN])
            parts.append(f"{one if len(names) == 1 else many} {listed}{more}")
    return " and ".join(parts)


def emergency_words(kind: str, way: str) -> str:
    """What happens to emergency calls while a product of this kind is off by this way."""
    if way == "outbound" and kind == "fusionpbx":
        return "inbound and emergency calls still work while it is off"
    return NO_EMERGENCY


NO_EMERGENCY = "911 does not work while it is off"
