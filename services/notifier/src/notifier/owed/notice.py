"""Decides which mail an event owes: at most one for each stay, hold and reminder day.

The rules are domain/billing's, section 7c.

Pure: without clock, socket, database or logger.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from notifier.merge_fields import ClientFunds
from ringfence_contracts.events.balance import BalanceLow, BalanceZero
from ringfence_contracts.events.service import ServiceRestored, ServiceSuspended
from ringfence_contracts.ids import derive

LOW_BALANCE_ALERT = "Low Balance Alert"
VOIP_ZERO_BALANCE = "VoIP Zero Balance"
VOIP_RESTORED = "VoIP Restored"

NoticeKind = Literal["low", "zero", "restored", "alarm", "digest"]
MailState = Literal["waiting", "sending", "sent", "failed", "in-doubt", "dropped"]
"""What becomes of an owed mail. `sending` is the moment in which its text goes out."""

PRIORITY: dict[NoticeKind, int] = {"alarm": 0, "zero": 1, "restored": 2, "low": 3, "digest": 4}
"""What is sent first when many wait. Alarms are few: those of one kind share a mail."""


@dataclass(frozen=True)
class MailNotice:
    """A mail that is owed. Who the client is, and the money, are read when it is sent.

    `account_id` is None where it is not about one client. `number` is that of the stay or of the
    funds hold, None if it is not known; `day` counts the daily reminders, 0 for the first mail.
    `crossing` is the account's crossing that it is about; `funds` is the money of the event, in
    case nothing newer is known, as of `balance_version`. `confirmed_off`: the service that a zero
    mail is about was switched off. `would_be`: a record of the mail that a client in shadow would
    get if it were live; it is never sent.
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
    """The alert of one stay at or below the threshold. Old records are known by their event."""
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
    """The reminder of a stay's day `day`, 1 for the first day after the alert."""
    assert first.number is not None, "only numbered stays are reminded of"
    return MailNotice(
        message_id=derive("mail", "low", first.account_id, "stay", first.number, "day", day),
        account_id=first.account_id,
        kind="low",
        template=first.template,
        cause_id=first.cause_id,
        funds=first.funds,
        occurred_at=now,
        correlation_id=first.correlation_id,
        number=first.number,
        day=day,
        crossing=first.crossing,
        balance_version=first.balance_version,
    )


def zero_mail(suspended: ServiceSuspended, correlation_id: str) -> MailNotice | None:
    """The mail that the service is off, or None where the client is owed none.

    Named after the account and the number of its funds hold, so that all services that one hold
    switched off give one mail, however often their reasons change. Records without that number are
    named after their cause.
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
    """The zero mail of a hold that has begun: it waits for the service to be off."""
    if not zero.mail_owed or zero.hold == 0:
        return None
    return MailNotice(
        message_id=derive("mail", "zero", zero.account_id, "hold", zero.hold),
        account_id=zero.account_id,
        kind="zero",
        template=VOIP_ZERO_BALANCE,
        cause_id=event_id,
        funds=ClientFunds(zero.balance_micro, zero.outstanding_micro, zero.currency),
        occurred_at=zero.occurred_at,
        correlation_id=correlation_id,
        number=zero.hold,
        crossing=zero.crossing,
        balance_version=zero.balance_version,
        confirmed_off=False,
    )


def would_be_zero_mail(zero: BalanceZero, event_id: UUID, correlation_id: str) -> MailNotice | None:
    """The record of the zero mail that a client in shadow would get; None where none is owed.

    Its id is its own: the client may go live within the same hold, and is owed the mail then.
    """
    if not zero.mail_owed:
        return None
    return MailNotice(
        message_id=derive("mail", "would-be-zero", zero.account_id, event_id),
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
        would_be=True,
    )


def restored_mail(
    restored: ServiceRestored,
    hold: int,
    funds: ClientFunds | None,
    event_id: UUID,
    correlation_id: str,
) -> MailNotice:
    """The mail that the service is on again, for a client who was written to when it was off."""
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
