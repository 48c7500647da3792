"""Payments: a top-up or an adjustment, once for each idempotency key of an account."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from accounts.refusals import Clash
from ringfence import ids
from ringfence.errors import BadInput
from ringfence.money import format_micro, parse_micro

Kind = Literal["top-up", "adjustment"]
_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)


@dataclass(frozen=True)
class Payment:
    """Money that came in for an account; adjustments may be negative."""

    payment_id: UUID
    account_id: str
    idempotency_key: str
    kind: Kind
    amount_micro: int
    currency: str
    reference: str
    received_at: datetime
    received_by: str


def check_key(key: str | None) -> str:
    """The header `Idempotency-Key`. Raises BadInput when it is missing or not plain."""
    if key is None or not _KEY.fullmatch(key):
        expected = "a key of your own for this payment: 1 to 200 printable ASCII characters"
        raise BadInput("Idempotency-Key", key, expected)
    return key


def read_amount(kind: Kind, text: str) -> int:
    """The amount in micro-units. Raises BadInput for zero, and for a top-up below it."""
    micro = parse_micro(text)
    if micro == 0 or (kind == "top-up" and micro < 0):
        expected = "more than 0" if kind == "top-up" else "an amount other than 0"
        raise BadInput("amount", text, expected)
    return micro


def payment_id(account_id: str, key: str) -> UUID:
    """The id of the payment: the same key of an account is the same payment."""
    return ids.derive("payment", account_id, key)


def check_same(first: Payment, again: Payment) -> None:
    """Raises Clash, which says what differs, if a key comes again with another content."""
    for field, before, now in (
        ("kind", first.kind, again.kind),
        ("amount", format_micro(first.amount_micro), format_micro(again.amount_micro)),
        ("currency", first.currency, again.currency),
        ("reference", first.reference, again.reference),
    ):
        if before != now:
            what = f"Idempotency-Key {first.idempotency_key} was used before with {before!r}"
            raise Clash(field, now, f"{what}; nothing was posted again")
