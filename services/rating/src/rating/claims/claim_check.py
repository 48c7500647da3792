"""The claim check of payments: only what accounts holds is posted (ADR 24).

A record of `payment.received` is not enough to post a payment: accounts must hold the payment with
the same content. So write access to Kafka alone cannot create credit, and a payment that accounts
lost by a restore waits until an operator claims it.

Pure: without clock, socket, database or logger.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.money import format_micro

ALARM = "payment-unclaimed"
"""The key of the alarm; its subject is `<account>/<payment_id>`."""


class PaymentClaim(NamedTuple):
    """The content of a payment that must be equal in accounts and on the topic."""

    account_id: str
    kind: str
    amount_micro: int
    currency: str

    def __str__(self) -> str:
        amount = f"{format_micro(self.amount_micro)} {self.currency}"
        article = "An" if self.kind == "adjustment" else "A"
        return f"{article} {self.kind} of {amount} for client {self.account_id}"


class UnclaimedPayment(NamedTuple):
    """A payment that waits for its claim, and why. `record` is the record's value as text."""

    payment: PaymentReceived
    reason: str
    record: str
    correlation_id: str


class WaitingPayment(NamedTuple):
    """A payment that waited, as it is posted later."""

    payment: PaymentReceived
    correlation_id: str


def claim_of(payment: PaymentReceived) -> PaymentClaim:
    """What accounts must hold of a payment before it may be posted."""
    return PaymentClaim(payment.account_id, payment.kind, payment.amount_micro, payment.currency)


def claim_problem(payment: PaymentReceived, held: PaymentClaim | None) -> str:
    """Why a payment may not be posted; empty if accounts holds it (`held`) with this content."""
    if held is None:
        return "accounts does not hold this payment"
    return "" if held == claim_of(payment) else f"accounts holds another content: {held}"


def subject_of(payment_id: UUID, account_id: str) -> str:
    """The subject of the alarm."""
    return f"{account_id}/{payment_id}"


def alarm_message(waiting: UnclaimedPayment, client: str) -> str:
    """The alarm's message for operators; `client` is the client's name, empty if unknown."""
    payment = waiting.payment
    named = f" ({client})" if client else ""
    return (
        f"{claim_of(payment)}{named} is not posted: {waiting.reason}. It was received at"
        f" {_instant(payment.received_at)} as payment {payment.payment_id}."
    )


def what_to_do(payment: PaymentReceived) -> str:
    """What the operator does to end the alarm."""
    return (
        "If the money was received (after a restore it was), enter the payment again:"
        f" ringfence payments claim {payment.payment_id} --reason WHY."
        " If nobody knows of it, somebody wrote to the topic who may not:"
        " see the runbook unclaimed-payments."
    )


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
