"""Decides which mail a client is owed: at most one for each crossing, named after its cause."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from notifier.merge_fields import Account, Funds, merge_values
from notifier.template import Template, render
from ringfence.events.balance import BalanceLow, BalanceZero
from ringfence.events.service import ServiceSuspended
from ringfence.ids import derive

LOW_BALANCE_ALERT = "Low Balance Alert"
VOIP_ZERO_BALANCE = "VoIP Zero Balance"

IN_SHADOW = "shadow mode: would have been mailed"

State = Literal[
    "waiting", "pending", "sending", "sent", "failed", "skipped", "in-doubt", "superseded"
]

_ADDRESS = re.compile(r"[^@\s<>()\[\]\\,;:\"\x00-\x1f\x7f]+@[^@\s<>()\[\]\\,;:\"\x00-\x1f\x7f]+")
_ADDRESS_AT_MOST = 254


@dataclass(frozen=True)
class Notice:
    """What an event reports to a client, or to the operator; who the client is comes later.

    `account_id` is None where it is not about one client. `crossing` is the account's crossing
    that it is about, None if it is about something else. `would_be`: a record of the mail that a
    client in shadow would get if it were live; it is never sent.
    """

    message_id: UUID
    account_id: str | None
    template: str
    cause_id: UUID
    funds: Funds | None
    crossing: int | None
    occurred_at: datetime
    correlation_id: str
    would_be: bool = False


@dataclass(frozen=True)
class Message:
    """A notice put into words, or the reason why there are none.

    `shadow`: it is not sent because the client is in shadow mode.
    """

    notice: Notice
    state: State
    recipient: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""
    reason: str = ""
    shadow: bool = False


def low_alert(low: BalanceLow, event_id: UUID, correlation_id: str) -> Notice:
    """The alert of one crossing of the threshold: one for each event."""
    return Notice(
        message_id=derive("mail", "low", low.account_id, event_id),
        account_id=low.account_id,
        template=LOW_BALANCE_ALERT,
        cause_id=event_id,
        funds=Funds(low.balance_micro, low.outstanding_micro, low.currency),
        crossing=low.crossing,
        occurred_at=low.occurred_at,
        correlation_id=correlation_id,
    )


def zero_mail(suspended: ServiceSuspended, correlation_id: str) -> Notice | None:
    """The mail that the service is off, or None where the client is owed none.

    Named after the account and the number of its funds hold, so that all services that one hold
    switched off give one mail, however often their reasons change. Records without that number are
    named after their cause.
    """
    if not suspended.zero_mail:
        return None
    return Notice(
        message_id=derive("mail", "zero", suspended.account_id, *_hold_or_cause(suspended)),
        account_id=suspended.account_id,
        template=VOIP_ZERO_BALANCE,
        cause_id=suspended.cause_id,
        funds=Funds(suspended.balance_micro or 0, suspended.outstanding_micro, suspended.currency),
        crossing=None,
        occurred_at=suspended.confirmed_at,
        correlation_id=correlation_id,
    )


def _hold_or_cause(suspended: ServiceSuspended) -> tuple[object, ...]:
    return ("hold", suspended.hold) if suspended.hold > 0 else (suspended.cause_id,)


def would_be_zero_mail(zero: BalanceZero, event_id: UUID, correlation_id: str) -> Notice | None:
    """The record of the zero mail that a client in shadow would get; None where none is owed.

    Its id is its own: the client may go live within the same hold, and is owed the mail then.
    """
    if not zero.mail_owed:
        return None
    return Notice(
        message_id=derive("mail", "would-be-zero", zero.account_id, event_id),
        account_id=zero.account_id,
        template=VOIP_ZERO_BALANCE,
        cause_id=event_id,
        funds=Funds(zero.balance_micro, zero.outstanding_micro, zero.currency),
        crossing=zero.crossing,
        occurred_at=zero.occurred_at,
        correlation_id=correlation_id,
        would_be=True,
    )


def put_into_words(
    notice: Notice, account: Account | None, templates: Mapping[str, Template]
) -> Message:
    """The mail to send, or why none is sent. Without the account the notice waits for it.

    A mail that a service is off comes only for a live client. If the copy of the account says
    shadow, one of the two is late: the mail is superseded, and owed again if the client went live.
    """
    if account is None:
        reason = "no account.changed was read for this account yet"
        return Message(notice, "waiting", reason=reason, shadow=notice.would_be)
    in_shadow = account.mode == "shadow"
    if in_shadow and notice.template == VOIP_ZERO_BALANCE and not notice.would_be:
        return Message(notice, "superseded", reason="the client is in shadow mode", shadow=True)
    objection = _objection(notice, account)
    if objection is not None:
        return Message(notice, "skipped", account.email, reason=objection, shadow=in_shadow)
    assert notice.funds is not None, "every notice to a client has its money"
    words = render(templates[notice.template], merge_values(account, notice.funds))
    return Message(
        notice,
        "skipped" if in_shadow else "pending",
        account.email.strip(),
        words.subject,
        words.text,
        words.html,
        reason=IN_SHADOW if in_shadow else "",
        shadow=in_shadow,
    )


def _objection(notice: Notice, account: Account) -> str | None:
    if notice.would_be and account.mode == "live":
        return "the client is live: this mail follows the switch"
    if notice.would_be and not account.prepaid:
        return "the client has no prepaid VoIP service"
    if not account.wants_mail:
        return "the client opted out of mail"
    if not account.email.strip():
        return "the client has no e-mail address"
    if not is_address(account.email.strip()):
        return "the client's e-mail address can not be one"
    if notice.template == LOW_BALANCE_ALERT and account.threshold_micro is None:
        return "the client has no low balance threshold"
    return None


def is_address(text: str) -> bool:
    """Whether `text` is one bare mail address, of a form that no header or command can break."""
    if len(text) > _ADDRESS_AT_MOST or not _ADDRESS.fullmatch(text):
        return False
    local, _, domain = text.rpartition("@")
    if any(part == "" for part in f"{local}.{domain}".split(".")) or not text.isprintable():
        return False
    if unicodedata.normalize("NFKC", text) != text:  # look-alikes that become dots or signs later
        return False
    try:
        domain.encode("idna")
    except UnicodeError:
        return False
    return True
