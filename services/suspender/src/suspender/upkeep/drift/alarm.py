"""The texts of the alarms about drift: pure."""

from datetime import datetime
from typing import NamedTuple

from ringfence_contracts.events.account import Service
from ringfence_contracts.events.alarm import AlarmText
from ringfence_contracts.money import format_micro
from suspender.rules.elements import Element, ServiceKey
from suspender.upkeep.drift.repairs import HOUR, REPAIRS_PER_HOUR

DRIFT_ALARM = "drift"
CALL_ALARM = "call-while-off"
MANY = 20
"""Above this number of drifting elements of a server, one alarm about the server is raised."""
_KINDS = {
    "gateway": "gateway",
    "extensions": "extension",
    "outbound": "the right to call out of extension",
    "domain": "domain",
    "peer": "peer",
}
_PERSON = (
    "A person, or a program that writes the server's settings, switched it on: the server's own log"
    " may say who."
)


class OutboundCall(NamedTuple):
    """A call that a service made, though it was confirmed off when the call was answered."""

    service: ServiceKey
    server_id: str
    number: str
    answered_at: datetime
    cost_micro: int
    currency: str

    @property
    def words(self) -> str:
        """Number, time and cost."""
        cost = f"{format_micro(self.cost_micro)} {self.currency}"
        return (
            f"a call to {self.number or 'an unknown number'}, answered on"
            f" {self.answered_at:%Y-%m-%d at %H:%M:%S} UTC, which cost {cost}"
        )


class DriftCandidate(NamedTuple):
    """An element that is on record as switched off by us, and may be on."""

    element: Element
    owner: ServiceKey
    product: Service
    confirmed_at: datetime


def element_words(server_id: str, element: Element, name: str = "") -> str:
    """An element in words for the operator; `name`: the name of a gateway, if it is known."""
    scope = f" of {element.tenant}" if element.tenant not in ("", element.name) else ""
    known = f"{name} ({element.name})" if name else element.name
    return f"{_KINDS[element.way]} {known}{scope} on server {server_id}"


def drift_alarm(
    server_id: str,
    candidate: DriftCandidate,
    repairs: list[datetime],
    *,
    repaired: bool,
    call: str,
    name: str,
) -> AlarmText:
    """The alarm `drift`. `repairs` are those of the last hour, the present one included.

    `call`: the call by which the drift was found, in words; empty if none.
    """
    account_id, service_id = candidate.owner
    found = f" Found by {call}." if call else ""
    return AlarmText(
        message=f"{element_words(server_id, candidate.element, name)} is on, though it was"
        f" switched off for client {account_id}, product {service_id} ({candidate.product.name}),"
        f" and read back as off on {candidate.confirmed_at:%Y-%m-%d at %H:%M} UTC.{found}"
        f" {_done(repairs, repaired)}",
        what_to_do=f"{_PERSON} If the client may call, end what keeps him off: ringfence services"
        f" {account_id} says what it is. If not, see to it that nothing switches it on again."
        f"{'' if repaired else _BY_HAND.format(account_id, service_id)} docs/runbooks/drift.md",
        severity="warning" if repaired else "critical",
        account_id=account_id,
    )


_BY_HAND = " Then: ringfence service reapply {} {}, or switch it off at the server by hand."


def _done(repairs: list[datetime], repaired: bool) -> str:
    if repaired:
        return f"It is switched off again ({len(repairs)} of at most {REPAIRS_PER_HOUR} an hour)."
    again = min(repairs) + HOUR
    return (
        f"It was switched off again {len(repairs)} times within an hour, so it is left on until"
        f" {again:%H:%M} UTC."
    )


def many_alarm(server_id: str, count: int) -> AlarmText:
    """The alarm `drift` about a server on which many elements are on at the same time."""
    return AlarmText(
        message=f"server {server_id}: {count} elements that were switched off are on, as if its"
        " settings were restored from a backup. They are switched off again, those apart that were"
        f" {REPAIRS_PER_HOUR} times within the last hour.",
        what_to_do="See what was done at the server. If you want it to be left alone meanwhile:"
        f" ringfence server pause {server_id}. docs/runbooks/drift.md",
        severity="critical",
    )


def call_alarm(call: OutboundCall) -> AlarmText:
    """The alarm `call-while-off`: a call was made although all that we switched off is off."""
    account_id, service_id = call.service
    return AlarmText(
        message=f"client {account_id}, product {service_id} on server {call.server_id} is off and"
        f" made {call.words}. All that was switched off for it is off.",
        what_to_do="Find by which gateway the call left, and name it in the product; or it was"
        " switched on for a moment and off again. docs/runbooks/drift.md",
        severity="critical",
        account_id=account_id,
    )
