"""Decides which mail an event queues: at most one for each stay, funds hold and reminder day.

A stay is one uninterrupted period in the level `low`; a funds hold is one in `exhausted`.

The rules are domain/billing's, section 7c.

Pure: without clock, socket, database or logger.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from notifier.merge_fields import ClientFunds
from notifier.words.catalogue import (
    LOW_BALANCE_ALERT,
    VOIP_RESTORED,
    VOIP_ZERO_BALANCE,
    YOUR_PAGE,
)
from ringfence_contracts.events.balance import BalanceLow, BalanceZero
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.events.service import ServiceRestored, ServiceSuspended
from ringfence_contracts.ids import derive

NoticeKind = Literal["low", "zero", "restored", "alarm", "digest", "link"]
MailState = Literal["waiting", "sending", "sent", "failed", "in-doubt", "dropped"]
"""The state of a queued mail. `sending`: its text is being sent, or its sender was killed then."""

PRIORITY: dict[NoticeKind, int] = {
    "alarm": 0, "zero": 1, "link": 1, "restored": 2, "low": 3, "digest": 4,
}  # fmt: skip
"""Which mails are sent first when many wait; 0 is the first. Alarms of one kind share a mail."""


@dataclass(frozen=True)
class MailNotice:
    """A mail to send. The client's data and funds are read when it is sent.

    `account_id` is None if it is not about one client. `number` is that of the stay or funds hold,
    None if unknown. `day` counts the daily reminders and is 0 for the first mail. `crossing` is the
    number of the account's crossing. `funds` are the event's, as of `balance_version`, used if
    nothing newer is known. `confirmed_off`: the service that a zero mail is about was switched off.
    `would_be`: the record of a mail that a client in shadow mode would get; it is never sent.
    """

    message_id: UUID
    account_id: str | None
    kind: NoticeKind
    template: str
    cause_id: UUID
    funds: ClientFunds | None
    occurred_at: datetime
    correlation_id: str
    number: int | None = None
    day: int = 0
    crossing: int | None = None
    balance_version: int = 0
    confirmed_off: bool = True
    would_be: bool = False


def low_alert(low: BalanceLow, event_id: UUID, correlation_id: str) -> MailNotice:
    """The alert of one stay. Old records without a stay number are identified by their event."""
    named = ("stay", low.stay) if low.stay > 0 else (event_id,)
    return MailNotice(
        message_id=derive("mail", "low", low.account_id, *named),
        account_id=low.account_id,
        kind="low",
        template=LOW_BALANCE_ALERT,
        cause_id=event_id,
        funds=ClientFunds(low.balance_micro, low.outstanding_micro, low.currency),
        occurred_at=low.occurred_at,
        correlation_id=correlation_id,
        number=low.stay or None,
        crossing=low.crossing,
        balance_version=low.balance_version,
    )


def reminder(first: MailNotice, day: int, now: datetime) -> MailNotice:
    """The reminder for day `day` of a stay; 1 is the first day after the alert."""
    assert first.number is not None, "only stays with a number have reminders"
    message_id = derive("mail", "low", first.account_id, "stay", first.number, "day", day)
    return replace(first, message_id=message_id, occurred_at=now, day=day)


def zero_mail(suspended: ServiceSuspended, correlation_id: str) -> MailNotice | None:
    """The mail that the service is off, or None if no mail is due.

    Its id is derived from the account and the number of its funds hold, so that all services that
    one hold switched off queue one mail, however often their reasons change. For records without
    that number it is derived from their cause.
    """
    if not suspended.zero_mail:
        return None
    named = ("hold", suspended.hold) if suspended.hold > 0 else (suspended.cause_id,)
    return MailNotice(
        message_id=derive("mail", "zero", suspended.account_id, *named),
        account_id=suspended.account_id,
        kind="zero",
        template=VOIP_ZERO_BALANCE,
        cause_id=suspended.cause_id,
        funds=ClientFunds(
            suspended.balance_micro or 0, suspended.outstanding_micro, suspended.currency
        ),
        occurred_at=suspended.confirmed_at,
        correlation_id=correlation_id,
        number=suspended.hold or None,
    )


def zero_mail_to_come(zero: BalanceZero, event_id: UUID, correlation_id: str) -> MailNotice | None:
    """The zero mail of a hold that has begun, which waits until the service is off."""
    if not zero.mail_owed or zero.hold == 0:
        return None
    message_id = derive("mail", "zero", zero.account_id, "hold", zero.hold)
    return replace(_zero_notice(zero, message_id, event_id, correlation_id), confirmed_off=False)


def would_be_zero_mail(zero: BalanceZero, event_id: UUID, correlation_id: str) -> MailNotice | None:
    """The record of the zero mail that a client in shadow mode would get; None if none is due.

    Its id differs from the real mail's: if the client goes live within the same hold, that one is
    queued as well.
    """
    if not zero.mail_owed:
        return None
    message_id = derive("mail", "would-be-zero", zero.account_id, event_id)
    return replace(_zero_notice(zero, message_id, event_id, correlation_id), would_be=True)


def _zero_notice(
    zero: BalanceZero, message_id: UUID, event_id: UUID, correlation_id: str
) -> MailNotice:
    return MailNotice(
        message_id=message_id,
        account_id=zero.account_id,
        kind="zero",
        template=VOIP_ZERO_BALANCE,
        cause_id=event_id,
        funds=ClientFunds(zero.balance_micro, zero.outstanding_micro, zero.currency),
        occurred_at=zero.occurred_at,
        correlation_id=correlation_id,
        number=zero.hold or None,
        crossing=zero.crossing,
        balance_version=zero.balance_version,
    )


def restored_mail(
    restored: ServiceRestored,
    hold: int,
    funds: ClientFunds | None,
    event_id: UUID,
    correlation_id: str,
) -> MailNotice:
    """The mail that the service is on again, for a client who was mailed that it was off."""
    return MailNotice(
        message_id=derive("mail", "restored", restored.account_id, "hold", hold),
        account_id=restored.account_id,
        kind="restored",
        template=VOIP_RESTORED,
        cause_id=event_id,
        funds=funds,
        occurred_at=restored.confirmed_at,
        correlation_id=correlation_id,
        number=hold,
    )


def link_mail(request: OperatorRequested, account_id: str, currency: str) -> MailNotice:
    """The mail with a link to the client's own page, for a client who asked for one."""
    return MailNotice(
        message_id=derive("mail", "link", request.request_id),
        account_id=account_id,
        kind="link",
        template=YOUR_PAGE,
        cause_id=request.request_id,
        funds=ClientFunds(0, 0, currency),
        occurred_at=request.requested_at,
        correlation_id=str(request.request_id),
    )
