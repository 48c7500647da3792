"""The response part about elements that left a product and stay off. Pure."""

from collections.abc import Sequence

from pydantic import BaseModel

from accounts.products.elements import LeftElement, elements_words
from ringfence_contracts.events.account import Service


class OffElement(BaseModel):
    """An element that stays off: a gateway, an extension, a domain or a peer."""

    server_id: str
    way: str
    tenant: str
    element: str


def shown_elements(leaving: Sequence[LeftElement]) -> list[OffElement]:
    """Elements as API responses carry them."""
    return [
        OffElement(server_id=server_id, way=e.way, tenant=e.tenant, element=e.name)
        for server_id, e in leaving
    ]


def leaving_words(
    leaving: Sequence[LeftElement], *, until: str, released: bool, how: str, now: Service | None
) -> str:
    """Which elements stay off, until when, and how to release them; empty if there are none.

    `until` says what ends the holds of the product, `how` what releases the elements earlier.
    `now` is the product after the change, None where it was removed. Elements of another way or
    server than its present one are switched on once the product is confirmed off as it is now.
    """
    if not leaving:
        return ""
    if released:
        return f"{_named(leaving)}: switched on within seconds, as asked"
    replaced = [left for left in leaving if now is not None and _is_replaced(left, now)]
    kept = [left for left in leaving if left not in replaced]
    parts = []
    if kept:
        ended = f" ({until})" if until else ""
        was = "they were" if len(kept) > 1 else "it was"
        end = f"until the hold ends for which {was} switched off{ended}"
        parts.append(f"{_named(kept)} {_stay(kept)} off {end}")
    if replaced and now is not None:
        end = f"until the product is confirmed off by {_way(now)} on {now.server_id}"
        parts.append(f"{_named(replaced)} {_stay(replaced)} off {end}")
    return f"{'; '.join(parts)}; to switch {'them' if len(leaving) > 1 else 'it'} on now: {how}"


def _named(leaving: Sequence[LeftElement]) -> str:
    return elements_words([left.element for left in leaving])


def _stay(leaving: Sequence[LeftElement]) -> str:
    return "stay" if len(leaving) > 1 else "stays"


def _is_replaced(left: LeftElement, now: Service) -> bool:
    return left.server_id != now.server_id or left.element.way != _way(now)


def _way(product: Service) -> str:
    return "peer" if product.kind == "lesnet" else product.way
