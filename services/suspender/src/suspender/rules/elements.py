"""The elements that are switched on a server, and which of them are to be off: pure.

An element is a gateway, an extension, an extension's right to call out, a domain or a peer. Whether
it is to be off follows from three things (architecture, section 4): the products that name it, the
desired states of their services, and the record of what we switched off, with the state before.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ringfence_contracts.elements import REST, Element, ElementWay, elements_of, is_open
from ringfence_contracts.extension_ranges import in_range, in_ranges

__all__ = [
    "REST",
    "Element",
    "ElementClaim",
    "ElementWay",
    "OwnerState",
    "ServiceKey",
    "SwitchedOffRecord",
    "elements_of",
    "is_open",
    "is_to_be_off",
]

ServiceKey = tuple[str, str]
"""Account and service."""


class OwnedExtensions(NamedTuple):
    """What the products of a tenant have: extensions listed by themselves, and ranges."""

    listed: frozenset[str] = frozenset()
    ranges: frozenset[str] = frozenset()

    def belongs(self, extension: str, to: str) -> bool:
        """Whether an extension is one of a range, or of the rest of the tenant (`REST`).

        An extension that a product lists belongs to that product alone.
        """
        if extension in self.listed:
            return False
        if to == REST:
            return not in_ranges(extension, self.ranges)
        return in_range(extension, to)


@dataclass(frozen=True)
class SwitchedOffRecord:
    """The record of an element that we switched off, or found off when we were to switch it off.

    `was_on` false: it was off before, so releasing it changes nothing. `value` is the stored value
    to restore, where the PBX has one in place of a flag. `owner` is the service for whose hold it
    was switched off. `released`: an operator released it although that hold lasts.
    """

    element: Element
    owner: ServiceKey
    was_on: bool
    value: str = ""
    released: bool = False


class ElementClaim(NamedTuple):
    """A service that names an element. `off`: the service is to be off."""

    service: ServiceKey
    off: bool


class OwnerState(NamedTuple):
    """The present state of the service that owns a record.

    `ways` are those of the elements that it names on this server, empty if the client no longer has
    the product. `is_elsewhere`: it names elements on another server. `is_confirmed`: its desired
    state was read back.
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

    If a service that names it is to be on, the element is to be on. An element that no product
    names any more stays off while its owner is to be off. If the owner is now switched in another
    way or on another server, the element stays off only until that is confirmed.
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
