"""An account as the suspender knows it, and how events and the clock change it: pure.

`Decisions` collects what the store writes in one transaction: changed rows, the elements that
products name for switching, and changes of reason to publish.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from ringfence_contracts.events.account import AccountChanged, Order, Service
from ringfence_contracts.events.balance import BalanceRestored, BalanceZero
from suspender.rules.elements import ServiceKey, elements_of
from suspender.rules.service_state import Services, ServiceState
from suspender.rules.suspension import (
    Decision,
    SwitchState,
    decide,
    effective,
    next_end,
    orders_in_force,
)

__all__ = ["AccountState", "Cause", "Decisions", "ServiceState", "Services", "decide_account"]

AccountEvent = BalanceZero | BalanceRestored | AccountChanged


class Cause(NamedTuple):
    """The event that a decision follows from."""

    event_id: UUID
    correlation_id: str


@dataclass
class AccountState:
    """The profile, and the funds hold as balance-watch published it.

    `hold` is the number of the last funds hold, and `held` whether it still applies; `undone_hold`
    is one that an operator undid. `balance_micro` is the credit at the last crossing, used only in
    mails. `prepaid`: at least one of its products is prepaid. `decide_at`: when an order ends, so
    that the account has to be decided again.
    """

    account_id: str
    profile: AccountChanged | None = None
    profile_version: int = 0
    balance_micro: int | None = None
    crossing: int = 0
    held: bool = False
    hold: int = 0
    hold_reason: str = ""
    held_since: datetime | None = None
    mail_owed: bool = True
    undone_hold: int = 0
    live: bool = True
    prepaid: bool = True
    decide_at: datetime | None = None

    @property
    def funds_held(self) -> bool | None:
        """Whether the funds hold applies; None: not known yet, for a client imported as suspended.

        balance-watch begins a hold for such a client; until its event arrives, nothing is switched.
        """
        if self.held:
            return self.hold == 0 or self.hold != self.undone_hold  # 0: its number is not known
        if self.crossing == 0 and self.profile is not None and is_imported_off(self.profile):
            return None
        return False


class ReasonChange(NamedTuple):
    """A service that stays off for another reason than before, to be published."""

    account: AccountState
    service: ServiceState


@dataclass
class Decisions:
    """What a batch decided.

    `switched`: services whose desired state changed. `products`: services whose product changed.
    `named`: services that name other elements than before, or elements of another server.
    `released`: services for which the elements that left the product are released now.
    """

    services: dict[ServiceKey, ServiceState] = field(default_factory=dict)
    switched: set[ServiceKey] = field(default_factory=set)
    reasons: dict[ServiceKey, ReasonChange] = field(default_factory=dict)
    products: set[ServiceKey] = field(default_factory=set)
    named: set[ServiceKey] = field(default_factory=set)
    released: set[ServiceKey] = field(default_factory=set)

    def switch(self, service: ServiceState) -> None:
        """The desired state changed: a change of reason for the former state is obsolete."""
        self.switched.add(service.key)
        self.reasons.pop(service.key, None)


def is_imported_off(profile: AccountChanged) -> bool:
    """Whether the client was imported as suspended; what is off then counts as ours to restore."""
    fields = profile.profile
    return fields.voip_suspended == "Yes" and fields.voip_suspended_by == "import"


def zero_mail_owed(account: AccountState, service: ServiceState) -> bool:
    """Whether the zero-balance mail is due, for a service that is confirmed off.

    It is due where funds are the only hold. The notifier sends it at most once for each hold.
    """
    return (
        service.live
        and not service.departed
        and service.holds == ("funds",)
        and account.held
        and account.mail_owed
        and account.funds_held is True
    )


def apply_event(account: AccountState, event: AccountEvent, now: datetime) -> bool:
    """Apply an event if it is newer than what is known. Returns whether it was."""
    if isinstance(event, AccountChanged):
        return _apply_profile(account, event)
    if event.crossing <= account.crossing:
        return False
    account.crossing, account.balance_micro = event.crossing, event.balance_micro
    if isinstance(event, BalanceZero):
        _begin_hold(account, event, now)
    else:
        account.held, account.held_since = False, None
        account.hold = max(account.hold, event.hold)
    return True


def _apply_profile(account: AccountState, profile: AccountChanged) -> bool:
    if profile.version <= account.profile_version:
        return False
    account.profile, account.profile_version = profile, profile.version
    account.live = profile.mode == "live"
    account.prepaid = any(service.prepaid for service in profile.services)
    return True


def _begin_hold(account: AccountState, zero: BalanceZero, now: datetime) -> None:
    if not account.held or zero.hold > account.hold:
        account.held_since = now
        account.mail_owed = zero.mail_owed
    account.held, account.hold, account.hold_reason = True, zero.hold, zero.reason


def decide_account(
    account: AccountState, services: Services, cause: Cause, now: datetime, decisions: Decisions
) -> None:
    """Decide the desired state of each service of the account at `now`.

    A product that the account no longer has is still decided, until its service is to be on.
    """
    profile = account.profile
    if profile is None:
        return
    orders = orders_in_force(profile, now)
    account.decide_at = next_end(profile, now)
    products = {product.service_id: product for product in profile.services}
    for product in products.values():
        service = services.get(product.service_id)
        if service is None:
            service = services[product.service_id] = _new_service(profile, product)
        _apply_product(service, product, decisions)
        decision = _decision(account, profile, orders, product)
        _apply_decision(account, service, decision, cause, decisions)
    for service in services.values():
        if service.service_id not in products:
            _decide_departed(account, service, orders, cause, decisions)
        if 0 < service.release_version <= profile.version:
            service.release_version = 0
            decisions.released.add(service.key)
        decisions.services[service.key] = service


def _decision(
    account: AccountState, profile: AccountChanged, orders: Sequence[Order], product: Service
) -> Decision:
    return decide(
        has_voip_service=profile.profile.has_voip_service,
        orders=orders,
        funds_held=account.funds_held,
        service=product,
    )


def _new_service(profile: AccountChanged, product: Service) -> ServiceState:
    """A service that was not known: on, or off where the client was imported as suspended."""
    imported_off = is_imported_off(profile)
    return ServiceState(
        account_id=profile.account_id,
        service_id=product.service_id,
        server_id=product.server_id,
        kind=product.kind,
        wanted="suspended" if imported_off else "active",
        live=profile.mode == "live",
        adopts=imported_off,
    )


def _apply_product(service: ServiceState, product: Service, decisions: Decisions) -> None:
    """Store the product as it is now, and note whether it names other elements than before."""
    before = None if service.departed else service.product
    if before == product:
        return
    decisions.products.add(service.key)
    if before is None or _elements(before) != _elements(product):
        service.elements_changed = service.wanted == "suspended"
        decisions.named.add(service.key)
    elif _extensions(before) != _extensions(product):
        decisions.named.add(service.key)
    service.server_id, service.kind = product.server_id, product.kind
    service.product, service.departed = product, False


def _extensions(product: Service) -> tuple[object, ...]:
    return product.extensions, product.extension_ranges


def _elements(product: Service) -> tuple[object, ...]:
    return product.server_id, product.kind, frozenset(elements_of(product))


def _decide_departed(
    account: AccountState,
    service: ServiceState,
    orders: Sequence[Order],
    cause: Cause,
    decisions: Decisions,
) -> None:
    """Decide about a product that the account no longer has.

    A suspension that was not confirmed is given up. What is off stays off while the hold lasts,
    unless an operator releases it. What is on is never switched off.
    """
    profile, product = account.profile, service.product
    assert profile is not None
    is_new = not service.departed
    if is_new:
        service.departed, service.elements_changed = True, False
        decisions.named.add(service.key)
    is_given_up = is_new and service.confirmed != "suspended"
    is_released = 0 < service.release_version <= profile.version
    if product is None or service.wanted == "active" or is_given_up or is_released:
        service.would, service.holds, service.client_wide = "active", (), True
        if service.wanted == "suspended":
            _set_desired_state(service, "active", "auto", cause, decisions)
        return
    decision = _decision(account, profile, orders, product)
    _apply_decision(account, service, decision, cause, decisions)


def _apply_decision(
    account: AccountState,
    service: ServiceState,
    decision: Decision,
    cause: Cause,
    decisions: Decisions,
) -> None:
    profile = account.profile
    assert profile is not None
    wanted = effective(
        decision.desired,
        service.wanted,
        live=account.live,
        was_live=service.live and service.wanted_seq > 0,
        keeps_off=profile.leave_off and not service.is_due,
    )
    reason = (decision.holds, decision.client_wide, account.live)
    is_new_reason = (
        reason != (service.holds, service.client_wide, service.live) or service.would == "leave"
    )
    service.would, service.holds, service.client_wide = decision[:3]
    if decision.desired == "leave":
        return  # `live` stays as it was when the service was last switched
    service.live = account.live
    is_incomplete = account.live and wanted == "suspended" and service.elements_changed
    if wanted != service.wanted or is_incomplete or _is_unconfirmed_adoption(service):
        _set_desired_state(service, wanted, decision.mode, cause, decisions)
    elif account.live and service.wanted == "suspended" and is_new_reason and not service.departed:
        _change_reason(account, service, decision, cause, decisions)


def _is_unconfirmed_adoption(service: ServiceState) -> bool:
    """Whether it was imported as off, is to be off, and was never read from the PBX.

    A product that was added to a suspended client may be on.
    """
    is_new = service.confirmed is None and service.wanted_seq == 0
    return service.live and is_new and service.would == service.wanted == "suspended"


def _set_desired_state(
    service: ServiceState, wanted: SwitchState, mode: str, cause: Cause, decisions: Decisions
) -> None:
    service.wanted, service.mode = wanted, mode
    service.wanted_seq += 1
    service.reason_seq = 0
    service.elements_changed = False
    service.cause_id, service.correlation_id = cause.event_id, cause.correlation_id
    decisions.switch(service)


def apply_again(service: ServiceState, cause: Cause, decisions: Decisions) -> None:
    """Have the PBX read and switched to the desired state again, though that did not change."""
    _set_desired_state(service, service.wanted, service.mode, cause, decisions)
    decisions.services[service.key] = service


def _change_reason(
    account: AccountState,
    service: ServiceState,
    decision: Decision,
    cause: Cause,
    decisions: Decisions,
) -> None:
    service.mode = decision.mode
    service.cause_id, service.correlation_id = cause.event_id, cause.correlation_id
    if service.is_confirmed_off:
        service.reason_seq += 1
        decisions.reasons[service.key] = ReasonChange(replace(account), replace(service))
