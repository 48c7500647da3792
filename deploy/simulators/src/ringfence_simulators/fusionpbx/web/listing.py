"""The rows of a list, and the search in them."""

import re
from collections.abc import Callable

from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.web.pages import ListedThing


def listed_things(
    pbx: SimulatedFusionPbx, kind: str, domain: str | None, search: str
) -> list[ListedThing]:
    """The rows of a domain (None: of all) in which the text occurs; uuids are not searched."""
    found = _like(search)
    return [
        thing
        for thing in _READERS[kind](pbx, domain)
        if any(found(text) for text in (thing.name, thing.description, *thing.columns))
    ]


def _domains(pbx: SimulatedFusionPbx, _: str | None) -> list[ListedThing]:
    return [
        ListedThing(d.uuid, d.name, d.enabled, description=d.description)
        for d in pbx.domains.values()
    ]


def _extensions(pbx: SimulatedFusionPbx, domain: str | None) -> list[ListedThing]:
    return [
        ListedThing(
            e.uuid, e.number, e.enabled, e.domain,
            columns=(e.caller_name,), description=e.form.get("description", ""),
        )
        for e in pbx.extensions.values()
        if domain in (None, e.domain.lower())
    ]  # fmt: skip


def _gateways(pbx: SimulatedFusionPbx, domain: str | None) -> list[ListedThing]:
    return [
        ListedThing(
            g.uuid, g.name, g.enabled, g.domain, g.live if pbx.event_socket else None,
            state=g.registration, columns=("public", ""), description=g.description,
        )
        for g in pbx.gateways.values()
        if domain in (None, g.domain.lower()) or not g.domain
    ]  # fmt: skip


def _destinations(pbx: SimulatedFusionPbx, domain: str | None) -> list[ListedThing]:
    return [
        ListedThing(
            d.uuid, d.number, d.enabled, d.domain,
            columns=("Inbound", "public"), description=d.description,
        )
        for d in pbx.destinations.values()
        if domain in (None, d.domain.lower())
    ]  # fmt: skip


_READERS: dict[str, Callable[[SimulatedFusionPbx, str | None], list[ListedThing]]] = {
    "domains": _domains,
    "extensions": _extensions,
    "gateways": _gateways,
    "destinations": _destinations,
}


def _like(search: str) -> Callable[[str], bool]:
    """A case-insensitive SQL LIKE of the text within a column: `_` and `%` are wildcards."""
    wild = {"_": ".", "%": ".*"}
    pattern = "".join(wild.get(c, re.escape(c)) for c in search.lower())
    return lambda text: re.search(pattern, text.lower()) is not None
