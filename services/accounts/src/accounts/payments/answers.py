"""The types of responses about payments. Pure."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from accounts.answers import Answer, ListAnswer, PageAnswer


class PaymentAnswer(Answer):
    """A payment; `refunds` is the payment that it gives back."""

    payment_id: UUID
    account_id: str
    idempotency_key: str
    kind: str
    amount_micro: int
    amount: str
    currency: str
    reference: str
    received_at: datetime
    received_by: str
    refunds: UUID | None


class PaymentPage(PageAnswer):
    """Payments, the newest first."""

    items: list[PaymentAnswer]


class UnclaimedLine(Answer):
    """A payment on the topic that accounts does not hold, and why it may not be claimed."""

    payment_id: UUID
    account_id: str
    amount_micro: int
    amount: str
    currency: str
    claim_problem: str


class UnclaimedList(ListAnswer):
    """Unclaimed payments, the oldest first."""

    items: list[UnclaimedLine]


class ClaimOutcome(Answer):
    """The outcome of one claim, and why."""

    payment_id: UUID
    outcome: Literal["claimed", "known", "refused"]
    why: str


class ClaimOutcomes(Answer):
    """The outcomes, in the order of the request."""

    items: list[ClaimOutcome]
