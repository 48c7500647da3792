"""Decides what is said to whom: each crossing gives at most one mail, named after its cause."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from notifier.merge_fields import Account, Funds, merge_values
from notifier.template import Template, render
from ringfence.events.balance import BalanceLow
from ringfence.events.service import ServiceSuspended, ServiceSuspensionFailed
from ringfence.ids import derive

LOW_BALANCE_ALERT = "Low Balance Alert"
VOIP_ZERO_BALANCE = "VoIP Zero Balance"
SUSPENSION_FAILED = "Suspension Failed"
"""The mail to the operator. It has no file: its words are ours."""

State = Literal[
    "waiting", "pending", "sending", "sent", "failed", "skipped", "in-doubt", "superseded"
]

_ADDRESS = re.compile(r"[^@\s<>()\[\]\\,;:\"\x00-\x1f\x7f]+@[^@\s<>()\[\]\\,;:\"\x00-\x1f\x7f]+")
_ADDRESS_AT_MOST = 254


@dataclass(frozen=True)
class Notice:
    """Something to say to a client, as the event tells it; who the client is comes later.

    `crossing` is the account's crossing that it tells of, or None where it tells of another thing.
    """

    message_id: UUID
    account_id: str
    template: str
    cause_id: UUID
    funds: Funds | None
    crossing: int | None
    occurred_at: datetime
    correlation_id: str


@dataclass(frozen=True)
class Message:
    """A notice put into words, or the reason why there are none."""

    notice: Notice
    state: State
    recipient: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""
    reason: str = ""


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

    Named after the account and what caused the suspension, so that several services that one
    crossing turned off give one mail.
    """
    if not suspended.zero_mail:
        return None
    return Notice(
        message_id=derive("mail", "zero", suspended.account_id, suspended.cause_id),
        account_id=suspended.account_id,
        template=VOIP_ZERO_BALANCE,
        cause_id=suspended.cause_id,
        funds=Funds(suspended.balance_micro or 0, suspended.outstanding_micro, suspended.currency),
        crossing=None,
        occurred_at=suspended.confirmed_at,
        correlation_id=correlation_id,
    )


def put_into_words(
    notice: Notice, account: Account | None, templates: Mapping[str, Template]
) -> Message:
    """The mail to send, or why none is sent. Without the account the notice waits for it."""
    if account is None:
        return Message(notice, "waiting", reason="no account.changed was read for this account yet")
    objection = _objection(notice, account)
    if objection is not None:
        return Message(notice, "skipped", recipient=account.email, reason=objection)
    assert notice.funds is not None, "every notice to a client tells of money"
    words = render(templates[notice.template], merge_values(account, notice.funds))
    return Message(notice, "pending", account.email.strip(), words.subject, words.text, words.html)


def _objection(notice: Notice, account: Account) -> str | None:
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


def operator_mail(
    failed: ServiceSuspensionFailed, operator_email: str, correlation_id: str
) -> Message:
    """The mail to the operator: once for each service and cause. Skipped where there is no one."""
    wanted = "switched off" if failed.wanted == "suspended" else "switched on again"
    notice = Notice(
        message_id=derive("mail", "suspension-failed", failed.service_id, failed.cause_id),
        account_id=failed.account_id,
        template=SUSPENSION_FAILED,
        cause_id=failed.cause_id,
        funds=None,
        crossing=None,
        occurred_at=failed.failed_at,
        correlation_id=correlation_id,
    )
    text = (
        f"Service {failed.service_id} of account {failed.account_id} on server {failed.server_id}"
        f" could not be {wanted}.\n\n"
        f"Attempts so far: {failed.attempts}\n"
        f"Last reason: {failed.reason}\n\n"
        f"The attempts go on. Until one succeeds, the service is not as it should be.\n"
        f"Cause: {failed.cause_id}\n"
    )
    words = render(_operator_template(failed.service_id, wanted, text), {})
    said = Message(notice, "pending", operator_email, words.subject, words.text, words.html)
    if operator_email:
        return said
    return replace(said, state="skipped", reason="no operator address is set")


def _operator_template(service_id: str, wanted: str, text: str) -> Template:
    subject = f"Service {service_id} could not be {wanted}"
    return Template(SUSPENSION_FAILED, subject=(subject,), body=(text,), is_html=False)
