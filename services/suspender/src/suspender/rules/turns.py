"""The elements to switch for a service: those that it names, and those on record for it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from suspender.drivers.driver import Failure
from suspender.rules.elements import (
    Element,
    OwnedExtensions,
    SwitchedOffRecord,
    elements_of,
    is_open,
)
from suspender.rules.plan import ElementContext, Turn
from suspender.rules.service_state import ServiceState

Rest = Mapping[str, frozenset[str] | Failure]
"""All extensions of a tenant, or why they could not be listed."""


class Survey(NamedTuple):
    """The turns of a batch, with the claims and records of their elements."""

    turns: Sequence[Turn]
    context: ElementContext


def names_of(service: ServiceState) -> frozenset[Element]:
    """The elements that a service names; ranges, and the rest of its tenant, as one each."""
    if service.product is None or service.departed:
        return frozenset()
    return frozenset(elements_of(service.product))


def needs_rest(service: ServiceState) -> str | None:
    """The tenant whose extensions have to be listed to switch the service; None: no tenant."""
    is_adopting = service.adopts and service.confirmed is None
    if service.wanted == "active" and not is_adopting:
        return None
    rest = [element.tenant for element in names_of(service) if is_open(element)]
    return rest[0] if rest else None


def turn_of(
    service: ServiceState,
    records: Mapping[Element, SwitchedOffRecord],
    rest: Rest,
    owned: Mapping[str, OwnedExtensions],
) -> Turn:
    """The turn of a service that is due.

    Switched off are the elements that it names; switched on also those on record for it. If the
    client no longer has the product, only those on record count.
    """
    product, off = service.product, service.wanted == "suspended"
    assert product is not None
    named, failure = _listed(names_of(service), rest, owned, needs_rest(service))
    own = {element for element, record in records.items() if record.owner == service.key}
    if service.departed:
        elements = frozenset(own)
    elif off:
        elements = named
    else:
        elements = named | own | _of_open(names_of(service), records, owned)
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
    owned: Mapping[str, OwnedExtensions],
    tenant: str | None,
) -> tuple[frozenset[Element], Failure | None]:
    """The elements with the extensions of ranges, and of the rest of the tenant, one by one."""
    explicit = frozenset(element for element in names if not is_open(element))
    if tenant is None:
        return explicit, None
    found = rest[tenant]
    if not isinstance(found, frozenset):
        return explicit, found
    products = owned.get(tenant, OwnedExtensions())
    present = {
        Element(element.way, tenant, name)
        for element in names
        if is_open(element)
        for name in found
        if products.belongs(name, element.name)
    }
    return explicit | present, None


def _of_open(
    names: frozenset[Element],
    records: Mapping[Element, SwitchedOffRecord],
    owned: Mapping[str, OwnedExtensions],
) -> frozenset[Element]:
    """The elements on record that belong to the ranges or to the rest of the tenant."""
    open_names = [element for element in names if is_open(element)]
    return frozenset(
        element
        for element in records
        for one in open_names
        if (element.way, element.tenant) == (one.way, one.tenant)
        and owned.get(element.tenant, OwnedExtensions()).belongs(element.name, one.name)
    )
