"""Payments: top-ups, and adjustments by operators."""

from typing import Literal
from uuid import UUID

from ringfence_contracts.events.model import Currency, EventData, Id, Instant, Micro, Text


class PaymentReceived(EventData):
    """`payment.received.v1`: a top-up, or an adjustment that an operator posts.

    `payment_id` is derived from the account and the idempotency key. Amounts of adjustments may
    be negative; those of top-ups are positive. A client's opening balance is an adjustment of any
    amount, also 0. A refund is a negative adjustment with the payment that it `refunds`.
    """

    payment_id: UUID
    account_id: Id
    kind: Literal["top-up", "adjustment"]
    amount_micro: Micro
    currency: Currency
    reference: Text = ""
    received_at: Instant
    refunds: UUID | None = None
