"""The suspender's events, and the texts of its alarms. The same cause always gives the same id."""

from dataclasses import replace
from datetime import datetime

from ringfence_contracts.events.alarm import AlarmText
from ringfence_contracts.events.service import (
    ServiceRestored,
    ServiceSuspended,
    ServiceSuspensionFailed,
)
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import (
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_SUSPENSION_FAILED,
    Topic,
)
from suspender.rules.account import AccountState, ReasonChange, zero_mail_owed
from suspender.rules.elements import Element
from suspender.rules.service_state import ServiceState
from suspender.rules.work import LooseElement

FAILED_ALARM = "suspension-failed"
ELEMENT_ALARM = "element-not-released"
PAUSED_ALARM = "server-paused"
ABANDONED_ALARM = "server-abandoned"


def confirmed(
    account: AccountState, service: ServiceState, evidence: str, now: datetime, *, mail: bool
) -> Outgoing:
    """`service.suspended.v1` or `service.restored.v1`; `mail`: the zero-balance mail is due."""
    if service.wanted == "suspended":
        return _suspended(account, service, evidence, now, mail=mail)
    event = ServiceRestored.model_validate(_facts(service, evidence, now))
    return _outgoing(SERVICE_RESTORED, service, event.to_json(), now)


def reason_changed(change: ReasonChange, now: datetime) -> Outgoing:
    """`service.suspended.v1` again, with the last confirmation's evidence and no ended calls."""
    account, service = change.account, replace(change.service, ended_calls=())
    confirmed_at = service.confirmed_at or now
    facts = _suspended(
        account, service, service.evidence, confirmed_at, mail=zero_mail_owed(account, service)
    )
    facts.time = now
    return facts


def state_as_now(account: AccountState, service: ServiceState) -> Outgoing:
    """The last confirmation of a service again, with the reason of now.

    Its id differs from the first one's: accounts may have applied that one before another.
    """
    confirmed_at = service.confirmed_at
    assert confirmed_at is not None, "only what was confirmed is published again"
    mail = zero_mail_owed(account, service)
    event = confirmed(account, service, service.evidence, confirmed_at, mail=mail)
    event.event_id = derive("service-state", event.event_id, confirmed_at.isoformat())
    return event


def failed(service: ServiceState, reason: str, attempts: int, now: datetime) -> Outgoing:
    """`service.suspension-failed.v1` after `attempts` attempts."""
    event = ServiceSuspensionFailed.model_validate(
        {
            "account_id": service.account_id,
            "service_id": service.service_id,
            "server_id": service.server_id,
            "wanted": service.wanted,
            "cause_id": service.cause_id,
            "reason": reason[:1000],
            "attempts": attempts,
            "failed_at": now,
        }
    )
    return _outgoing(SERVICE_SUSPENSION_FAILED, service, event.to_json(), now)


def alarm_subject(account_id: str, service_id: str) -> str:
    """The subject of an alarm `suspension-failed`."""
    return f"{account_id}/{service_id}"


def failed_alarm(account: AccountState, service: ServiceState, reason: str) -> AlarmText:
    """The alarm `suspension-failed`: client, product, server, reason, what to do."""
    off = service.wanted == "suspended"
    wish = "could not be switched off" if off else "could not be switched on again"
    by_hand = "off" if off else "on"
    return AlarmText(
        message=f"{_client(account)}, product {_product(account, service)}"
        f" on server {service.server_id}: {wish}: {reason}",
        what_to_do="Attempts go on by themselves. Remove the reason given, or switch the service"
        f" {by_hand} at the server by hand: the next attempt reads it back and confirms it."
        f" ringfence services {account.account_id} shows the last error;"
        " docs/runbooks/suspension-failed.md explains each.",
        severity="critical",
        account_id=account.account_id,
    )


def element_subject(server_id: str, element: Element) -> str:
    """The subject of an alarm `element-not-released`."""
    return "/".join(part for part in (server_id, *element) if part)


def element_alarm(row: LooseElement, reason: str, *, off: bool) -> AlarmText:
    """The alarm `element-not-released`: an element without a due service cannot be switched."""
    element, (account_id, service_id) = row.record.element, row.record.owner
    scope = f" of {element.tenant}" if element.tenant not in ("", element.name) else ""
    wish = "is on again, and cannot be switched off" if off else "cannot be switched on again"
    return AlarmText(
        message=f"{element.way} {element.name}{scope} on server {row.server_id}, switched off for"
        f" client {account_id}, product {service_id}: {wish}: {reason}",
        what_to_do="Attempts go on by themselves. Remove the reason given, or switch it by hand at"
        " the server: the next attempt reads it back. Where the server has no such thing any more:"
        " release it, and it is forgotten.",
        severity="critical",
        account_id=account_id,
    )


def paused_alarm(server_id: str, until: datetime | None, by: str) -> AlarmText:
    """The alarm `server-paused`: nothing is switched on that server."""
    end = f"until {until:%Y-%m-%d %H:%M}Z" if until else "until it is resumed"
    return AlarmText(
        message=f"server {server_id} is paused by {by} {end}: nothing is switched on it,"
        " neither off nor on",
        what_to_do=f"ringfence server resume {server_id} when the maintenance is over.",
    )


def abandoned_alarm(server_id: str, elements: int) -> AlarmText:
    """The alarm `server-abandoned`: what is off there cannot be switched on again."""
    return AlarmText(
        message=f"server {server_id} is not in the servers file any more, and {elements} elements"
        " on it are switched off by us: they stay off",
        what_to_do="Enter the server in the servers file again and restart the suspender: what is"
        " to be on is then switched on. Where the server is gone for good, move its products to"
        " another one.",
        severity="critical",
    )


def _client(account: AccountState) -> str:
    if account.profile is None:
        return f"client {account.account_id}"
    client = account.profile.client
    names = client.company_name or f"{client.first_name} {client.last_name}".strip()
    return f"client {account.account_id} ({names})"


def _product(account: AccountState, service: ServiceState) -> str:
    services = account.profile.services if account.profile else ()
    for product in services:
        if product.service_id == service.service_id and product.name:
            return f"{service.service_id} ({product.name})"
    return service.service_id


def _suspended(
    account: AccountState,
    service: ServiceState,
    evidence: str,
    confirmed_at: datetime,
    *,
    mail: bool,
) -> Outgoing:
    profile = account.profile
    assert profile is not None
    event = ServiceSuspended.model_validate(
        _facts(service, evidence, confirmed_at)
        | {
            "zero_mail": mail,
            "balance_micro": account.balance_micro,
            "outstanding_micro": profile.outstanding_micro,
            "currency": profile.currency,
            "holds": service.holds,
            "client_wide": service.client_wide,
            "hold": account.hold if "funds" in service.holds else 0,
            "ended_calls": service.ended_calls,
        }
    )
    return _outgoing(SERVICE_SUSPENDED, service, event.to_json(), confirmed_at)


def _facts(service: ServiceState, evidence: str, confirmed_at: datetime) -> dict[str, object]:
    return {
        "account_id": service.account_id,
        "service_id": service.service_id,
        "server_id": service.server_id,
        "mode": service.mode,
        "cause_id": service.cause_id,
        "confirmed_at": confirmed_at,
        "evidence": evidence[:1000],
        "proven": service.proven,
    }


def _outgoing(topic: Topic, service: ServiceState, value: bytes, now: datetime) -> Outgoing:
    changes: tuple[int, ...] = (service.reason_seq,) if service.reason_seq else ()
    return Outgoing(
        topic=topic,
        key=service.account_id,
        value=value,
        event_id=derive(
            topic.name, service.account_id, service.service_id, service.wanted_seq, *changes
        ),
        time=now,
        source="suspender",
        subject=service.service_id,
        correlation_id=service.correlation_id,
    )
