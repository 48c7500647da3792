"""The elements to switch for a service: those that it names, and those on record for it."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from suspender.drivers.driver import Failure
from suspender.rules.elements import REST, Element, SwitchedOffRecord, elements_of
from suspender.rules.plan import ElementContext, Turn
from suspender.rules.service_state import ServiceState

Rest = Mapping[str, frozenset[str] | Failure]
"""All extensions of a tenant, or why they could not be listed."""


class Survey(NamedTuple):
    """The turns of a batch, with the claims and records of their elements."""

    turns: Sequence[Turn]
    context: ElementContext


def names_of(service: ServiceState) -> frozenset[Element]:
    """The elements that a service names; the rest of its tenant as `REST`."""
    if service.product is None or service.departed:
        return frozenset()
    return frozenset(elements_of(service.product))


def needs_rest(service: ServiceState) -> str | None:
    """The tenant whose extensions have to be listed to switch the service; None: no tenant."""
    is_adopting = service.adopts and service.confirmed is None
    if service.wanted == "active" and not is_adopting:
        return None
    rest = [element.tenant for element in names_of(service) if element.name == REST]
    return rest[0] if rest else None


def turn_of(
    service: ServiceState,
    records: Mapping[Element, SwitchedOffRecord],
    rest: Rest,
    listed: Mapping[str, Collection[str]],
) -> Turn:
    """The turn of a service that is due.

    Switched off are the elements that it names; switched on also those on record for it. If the
    client no longer has the product, only those on record count.
    """
    product, off = service.product, service.wanted == "suspended"
    assert product is not None
    named, failure = _listed(names_of(service), rest, listed, needs_rest(service))
    own = {element for element, record in records.items() if record.owner == service.key}
    if service.departed:
        elements = frozenset(own)
    elif off:
        elements = named
    else:
        elements = named | own | _of_rest(names_of(service), records, listed)
    return Turn(
        key=service.key,
        off=off,
        product=product,
        named=named,
        elements=elements,
        departed=service.departed,
        adopts=service.adopts and service.confirmed is None,
        rest_failure=failure,
    )


def _listed(
    names: frozenset[Element],
    rest: Rest,
    listed: Mapping[str, Collection[str]],
    tenant: str | None,
) -> tuple[frozenset[Element], Failure | None]:
    """The elements with the rest of the tenant listed one by one."""
    explicit = frozenset(element for element in names if element.name != REST)
    if tenant is None:
        return explicit, None
    found = rest[tenant]
    if not isinstance(found, frozenset):
        return explicit, found
    others = found - set(listed.get(tenant, ()))
    ways = {element.way for element in names if element.name == REST}
    return explicit | {Element(way, tenant, name) for way in ways for name in others}, None


def _of_rest(
    names: frozenset[Element],
    records: Mapping[Element, SwitchedOffRecord],
    listed: Mapping[str, Collection[str]],
) -> frozenset[Element]:
    """The elements on record that belong to the rest of the tenant."""
    scopes = {(element.way, element.tenant) for element in names if element.name == REST}
    return frozenset(
        element
        for element in records
        if (element.way, element.tenant) in scopes
        and element.name not in listed.get(element.tenant, ())
    )
