"""Payments and refunds, each once for an idempotency key of an account. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from accounts.refusals import Clash, Unknown
from ringfence_contracts import ids
from ringfence_contracts.errors import BadInput
from ringfence_contracts.money import format_micro, parse_micro

PaymentKind = Literal["top-up", "adjustment"]
RequestedKind = Literal["top-up", "adjustment", "refund"]
"""What a request may post. A refund is stored as an adjustment that names its payment."""

OPENING = "opening"
"""The key of a client's opening balance; reserved, as are keys that begin with CLAIMED."""

CLAIMED = "claimed:"
_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)


@dataclass(frozen=True)
class Payment:
    """A payment to an account; an adjustment may be negative.

    `refunds` is the payment that a refund gives back. `claimed_by` is who entered a payment from
    the topic again after accounts had lost it, `claim_reason` why.
    """

    payment_id: UUID
    account_id: str
    idempotency_key: str
    kind: PaymentKind
    amount_micro: int
    currency: str
    reference: str
    received_at: datetime
    received_by: str
    refunds: UUID | None = None
    claimed_by: str | None = None
    claim_reason: str | None = None


def check_key(key: str | None) -> str:
    """The header `Idempotency-Key`. Raises BadInput when it is missing, malformed or reserved."""
    if key is None or not _KEY.fullmatch(key):
        expected = "a key of your own for this payment: 1 to 200 ASCII characters without blanks"
        raise BadInput("Idempotency-Key", key, expected)
    if key == OPENING:
        expected = "another key: this one is kept for the client's opening balance"
        raise BadInput("Idempotency-Key", key, expected)
    if key.startswith(CLAIMED):
        expected = f"a key that does not begin with {CLAIMED!r}, which marks claimed payments"
        raise BadInput("Idempotency-Key", key, expected)
    return key


def read_amount(kind: RequestedKind, text: str) -> int:
    """The amount to post in micro-units; negative for a refund.

    Raises BadInput for 0, and for a top-up or a refund below 0.
    """
    micro = parse_micro(text)
    if micro == 0 or (kind != "adjustment" and micro < 0):
        expected = "an amount other than 0" if kind == "adjustment" else "more than 0"
        raise BadInput("amount", text, expected)
    return -micro if kind == "refund" else micro


def check_refund(payment: Payment, original: Payment | None, refunded_micro: int) -> None:
    """Check that a refund may be posted; `refunded_micro` was refunded of `original` before.

    Raises Unknown where the client has no such payment; Clash where it cannot be refunded, or less
    of it is left.
    """
    if original is None or original.account_id != payment.account_id:
        named = str(payment.refunds)
        expected = f"`ringfence payments list {payment.account_id}` lists those of this client"
        raise Unknown("payment", named, expected)
    if original.refunds is not None or original.kind != "top-up":
        what = "a refund" if original.refunds else "an adjustment"
        raise Clash("payment", str(original.payment_id), f"{what} cannot be refunded")
    left = original.amount_micro - refunded_micro
    if -payment.amount_micro > left:
        was = f"{format_micro(original.amount_micro)} {original.currency}"
        raise Clash(
            "amount",
            format_micro(-payment.amount_micro),
            f"{format_micro(left)} of the payment of {was} are left to refund",
        )


def payment_id(account_id: str, key: str) -> UUID:
    """The id of a payment, derived from its account and key: the same key is the same payment."""
    return ids.derive("payment", account_id, key)


def check_same(first: Payment, again: Payment) -> None:
    """Raises Clash, with the field that differs, where a key is used again for other content."""
    for field, before, now in (
        ("kind", first.kind, again.kind),
        ("amount", format_micro(first.amount_micro), format_micro(again.amount_micro)),
        ("currency", first.currency, again.currency),
        ("reference", first.reference, again.reference),
        ("payment", _named(first.refunds), _named(again.refunds)),
    ):
        if before != now:
            what = f"the key {first.idempotency_key} was used before with {before!r}"
            raise Clash(field, now, f"{what}; nothing was posted again")


def _named(refunds: UUID | None) -> str:
    return str(refunds) if refunds else ""
