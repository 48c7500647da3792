"""The state of the telephone service in the client's own words. Pure."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from accounts.clients.overview.row import ClientRow
from accounts.clients.wording import ClientSituation, brings_back, holds_of

OwnState = Literal["on", "off", "changing", "none"]
_STATES: dict[str, OwnState] = {
    "on": "on",
    "off": "off",
    "switching": "changing",
    "failed": "changing",
    "no-service": "none",
}


class ServiceWords(NamedTuple):
    """The state of the service, and what the client should know about it."""

    state: OwnState
    lines: tuple[str, ...]


def service_words(row: ClientRow, situation: ClientSituation) -> ServiceWords:
    """The state in words: never an operator's reason, order or command."""
    state = _STATES.get(row.state, "none")
    if state == "none":
        return ServiceWords(state, ("You have no telephone service with us yet.",))
    if state == "on":
        return ServiceWords(state, ("Your telephone service is on.",))
    to_be_off = any(product.off for product in situation.products)
    if state == "changing" and not to_be_off:
        return ServiceWords(state, ("Your telephone service is being switched on.",))
    first = {
        "off": "Your telephone service is off.",
        "changing": "Your telephone service is being switched off.",
    }[state]
    return ServiceWords(state, (first, *_why(situation)))


def _why(situation: ClientSituation) -> tuple[str, ...]:
    holds = [hold for p in situation.products for hold in holds_of(situation, p)]
    if any(hold.order is not None for hold in holds):
        return ("We switched it off for another reason than your credit: please contact us.",)
    if not holds:
        return ("It comes on again in a moment.",)
    needed = brings_back(situation)
    return ("Your credit is used up.", f"It comes on again by itself after {needed}.")


def product_is_on(found: Mapping[str, Any]) -> bool | None:
    """Whether a product is on, as the PBX confirmed it; None before it was switched."""
    confirmed = found["confirmed"]
    return None if confirmed is None else confirmed == "active"
