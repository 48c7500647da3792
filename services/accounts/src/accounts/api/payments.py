"""/v1/clients/{account_id}/payments: top-ups and adjustments, each once."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from accounts.api.bodies import PaymentBody
from accounts.api.rooms import AccountId, In, Who
from accounts.payment import Payment, check_key, payment_id, read_amount
from ringfence.money import format_micro

router = APIRouter(tags=["payments"])


@router.post("/clients/{account_id}/payments")
async def post_payment(
    account_id: AccountId,
    body: PaymentBody,
    rooms: In,
    who: Who,
    response: Response,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Receive money. 201 when it is committed; 200 with the same answer for the same key again;
    409, saying what differs, for the same key with another content.
    """
    key = check_key(idempotency_key)
    amount_micro = read_amount(body.kind, body.amount)
    currency = body.currency or await rooms.payments.currency_of(account_id)
    payment = Payment(
        payment_id=payment_id(account_id, key),
        account_id=account_id,
        idempotency_key=key,
        kind=body.kind,
        amount_micro=amount_micro,
        currency=currency,
        reference=body.reference,
        received_at=rooms.clock.now(),
        received_by=who,
    )
    kept, new = await rooms.payments.receive(payment)
    response.status_code = 201 if new else 200
    return payment_shown(kept)


def payment_shown(payment: Payment) -> dict[str, Any]:
    """A payment as answers carry it."""
    return {
        "payment_id": payment.payment_id,
        "account_id": payment.account_id,
        "idempotency_key": payment.idempotency_key,
        "kind": payment.kind,
        "amount_micro": payment.amount_micro,
        "amount": format_micro(payment.amount_micro),
        "currency": payment.currency,
        "reference": payment.reference,
        "received_at": payment.received_at,
        "received_by": payment.received_by,
    }
