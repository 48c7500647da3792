"""What is switched on a server, part by part, and what of it is to be off: pure.

An element is a gateway, an extension, an extension's right to call out, a domain, a peer. Products
name elements; services are desired off or on; what we switched off is on record with its state
before. From these three follows what has to be done (architecture, section 4).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ringfence_contracts.elements import REST, Element, ElementWay, elements_of

__all__ = [
    "REST",
    "Element",
    "ElementClaim",
    "ElementWay",
    "OwnerState",
    "ServiceKey",
    "SwitchedOffRecord",
    "elements_of",
    "is_to_be_off",
]

ServiceKey = tuple[str, str]
"""Account and service."""


@dataclass(frozen=True)
class SwitchedOffRecord:
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


class ElementClaim(NamedTuple):
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
    claims: Collection[ElementClaim],
    record: SwitchedOffRecord | None,
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
