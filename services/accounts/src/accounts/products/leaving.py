"""What the answer of a change says of what left a product and stays off: pure."""

from collections.abc import Sequence

from pydantic import BaseModel

from accounts.products.elements import Element, elements_words
from ringfence.events.account import Service


class OffElement(BaseModel):
    """One thing that stays off: a gateway, an extension, a domain, a peer."""

    way: str
    tenant: str
    element: str


def shown_elements(elements: Sequence[Element]) -> list[OffElement]:
    """Elements as answers carry them."""
    return [OffElement(way=e.way, tenant=e.tenant, element=e.name) for e in elements]


def leaving_words(
    leaving: Sequence[Element], *, until: str, released: bool, how: str, now: Service | None
) -> str:
    """What stays off of what left a product, until when, and how to release it; empty for nothing.

    `until` is what ends the holds of the product. `now` is the product as it is after the change,
    None where it was removed: what it was switched by before is on again once its new way is
    confirmed off. `how` is what releases it earlier.
    """
    if not leaving:
        return ""
    named, many = elements_words(leaving), len(leaving) > 1
    if released:
        return f"{named}: switched on within seconds, as asked"
    stay, were = ("stay", "were") if many else ("stays", "was")
    if now is not None and {element.way for element in leaving}.isdisjoint({_way(now)}):
        end = f"until the product is confirmed off by {_way(now)}"
    else:
        ended = f" ({until})" if until else ""
        end = f"until the hold ends for which {'they' if many else 'it'} {were} switched off{ended}"
    return f"{named} {stay} off {end}; to switch {'them' if many else 'it'} on now: {how}"


def _way(product: Service) -> str:
    return "peer" if product.kind == "lesnet" else product.way
