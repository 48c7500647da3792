"""Whether a service is to be on or off, and why (domain/billing, section 7, a and b2).

Holds are independent of each other: any one of them is enough. An exemption lifts only the funds
hold. balance-watch decides the funds hold; this module does not compute with the credit.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from ringfence_contracts.events.account import AccountChanged, Order, OrderKind, Service
from ringfence_contracts.events.service import Hold, Mode

SwitchState = Literal["active", "suspended"]
Desired = Literal["active", "suspended", "leave"]
"""`leave`: the PBX is not to be touched."""

HOLDING_ORDERS: tuple[Hold, ...] = ("manual", "forced", "whmcs")


class Decision(NamedTuple):
    """The desired state of one service, and the reasons for it.

    `holds` are all that apply, even where the client has no VoIP service and nothing is switched.
    `client_wide` is false if every hold that applies is for this product only. `mode` is the rule
    of table (a) that governs; an order of WHMCS counts as manual.
    """

    desired: Desired
    holds: tuple[Hold, ...] = ()
    client_wide: bool = True
    mode: Mode = "auto"
    exempt: bool = False


def decide(
    *,
    has_voip_service: bool,
    orders: Sequence[Order],
    funds_held: bool | None,
    service: Service,
) -> Decision:
    """The desired state of `service` while `orders` are in force.

    `funds_held` is None while the funds of a client who was imported as suspended are not known:
    unless an order decides, the service is left as it was found.
    """
    own = [order for order in orders if order.service_id in (None, service.service_id)]
    kinds = {order.kind for order in own}
    exempt = "exemption" in kinds
    funds = funds_held if service.prepaid and not exempt else False
    ordered: tuple[Hold, ...] = tuple(kind for kind in HOLDING_ORDERS if kind in kinds)
    holds: tuple[Hold, ...] = ("funds", *ordered) if funds else ordered
    if not has_voip_service or (funds is None and not holds):
        desired: Desired = "leave"
    else:
        desired = "suspended" if holds else "active"
    wide = funds or any(o.service_id is None and o.kind != "exemption" for o in own) or not holds
    return Decision(desired, holds, bool(wide), _governing(kinds), exempt)


def _governing(kinds: set[OrderKind]) -> Mode:
    """The mode of the first rule of table (a) that fits these orders."""
    if "manual" in kinds:
        return "manual"
    if "forced" in kinds:
        return "forced"
    if "whmcs" in kinds:
        return "manual"
    return "exempt" if "exemption" in kinds else "auto"


def orders_in_force(changed: AccountChanged, now: datetime) -> tuple[Order, ...]:
    """The account's orders without those that have ended by `now`.

    Older records have no orders: they follow from the profile's two suspension fields.
    """
    orders = _orders_of_fields(changed) if changed.orders is None else changed.orders
    return tuple(order for order in orders if order.until is None or order.until > now)


def next_end(changed: AccountChanged, now: datetime) -> datetime | None:
    """When the next of the orders in force ends by itself; None if none of them has an end."""
    ends = [order.until for order in orders_in_force(changed, now) if order.until is not None]
    return min(ends, default=None)


def _orders_of_fields(changed: AccountChanged) -> tuple[Order, ...]:
    """The orders that follow from Manual VoIP Suspend and VoIP Suspended by table (a).

    VoIP Suspended shows the state and overrides it, so its writer matters: a Yes that we wrote, or
    that was found at import, only records a suspension. We never write No, so a No is a person's.
    """
    profile = changed.profile
    manual, suspended = profile.manual_voip_suspend, profile.voip_suspended
    given: list[OrderKind] = []
    if manual == "Yes":
        given.append("manual")
    if suspended == "Yes" and profile.voip_suspended_by == "person":
        given.append("forced")
    if manual == "No" and suspended == "No":
        given.append("exemption")
    return tuple(
        Order(kind=kind, given_by="the client profile", since=changed.changed_at) for kind in given
    )


def effective(
    desired: Desired, wanted: SwitchState, *, live: bool, was_live: bool, keeps_off: bool = False
) -> SwitchState:
    """The desired state of the PBX; `wanted` was the one before.

    In shadow mode nothing is switched, with one exception: the services of a client that leaves
    live mode (`was_live`) are switched on again, unless they are to stay off (`keeps_off`).
    """
    if desired == "leave":
        return wanted
    if live:
        return desired
    return "active" if was_live and not keeps_off else wanted
