"""Payments: top-ups, adjustments and refunds; and claims after a restore."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Response

from accounts.api.bodies import ClaimBody, ClaimsBody, PaymentBody
from accounts.api.dependencies import AccountId, Dependencies, Deps, PageCursor, PageLimit, Who
from accounts.api.route_scopes import MONEY, READ
from accounts.payments.answers import ClaimOutcomes, PaymentAnswer, PaymentPage, UnclaimedList
from accounts.payments.payment import Payment, PaymentKind, check_key, payment_id, read_amount
from accounts.payments.store_claims import Claimed
from accounts.refusals import Refusals
from ringfence_contracts.errors import BadInput
from ringfence_contracts.money import format_micro, parse_micro

router = APIRouter(tags=["payments"])


@router.post(
    "/clients/{account_id}/payments",
    response_model=PaymentAnswer,
    response_model_exclude_unset=True,
    responses={201: {"model": PaymentAnswer}},
    dependencies=[MONEY],
)
async def post_payment(
    account_id: AccountId,
    body: PaymentBody,
    deps: Deps,
    who: Who,
    response: Response,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Post a payment or a refund. Idempotent by key.

    201 when it is committed; 200 with the same answer for the same key again; 409, with what
    differs, for the same key with other content.
    """
    problems = Refusals()
    key = problems.read(lambda: check_key(idempotency_key), "")
    amount_micro = problems.read(lambda: read_amount(body.kind, body.amount), 0)
    problems.read(lambda: _check_refunded(body), None)
    problems.check()
    currency = body.currency or await deps.payments.currency_of(account_id)
    kind: PaymentKind = "top-up" if body.kind == "top-up" else "adjustment"
    payment = Payment(
        payment_id=payment_id(account_id, key),
        account_id=account_id,
        idempotency_key=key,
        kind=kind,
        amount_micro=amount_micro,
        currency=currency,
        reference=body.reference,
        received_at=deps.clock.now(),
        received_by=who,
        refunds=await _refunded(deps, account_id, body),
    )
    kept, new = await deps.payments.receive(payment)
    response.status_code = 201 if new else 200
    return payment_shown(kept)


def _check_refunded(body: PaymentBody) -> None:
    if body.kind != "refund" and body.payment is not None:
        raise BadInput("payment", body.payment, "none: only a refund names a payment")
    if body.kind == "refund" and body.payment is None:
        raise BadInput("payment", None, "the id, or the key, of the payment that is refunded")


async def _refunded(deps: Dependencies, account_id: str, body: PaymentBody) -> UUID | None:
    """The payment that a refund gives back, by its id or its key."""
    return None if body.payment is None else await deps.payments.find(account_id, body.payment)


@router.get(
    "/clients/{account_id}/payments",
    response_model=PaymentPage,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def list_payments(
    account_id: AccountId, deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> dict[str, Any]:
    """A client's payments, the newest first, each with whether it is in the balance yet."""
    await deps.store.account(account_id)
    return await deps.payments.payments(account_id, cursor, limit)


@router.get(
    "/clients/{account_id}/payments/{payment_id}",
    response_model=PaymentAnswer,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def get_payment(account_id: AccountId, payment_id: UUID, deps: Deps) -> dict[str, Any]:
    """One payment of a client."""
    await deps.store.account(account_id)
    return await deps.payments.payment(account_id, payment_id)


@router.get(
    "/payments/unclaimed",
    response_model=UnclaimedList,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def list_unclaimed(deps: Deps) -> dict[str, Any]:
    """Payments that rating read from the topic and that accounts does not have."""
    return {"items": await deps.claims.unclaimed(), "next": None}


@router.post(
    "/payments/claims",
    response_model=ClaimOutcomes,
    response_model_exclude_unset=True,
    dependencies=[MONEY],
)
async def post_claims(body: ClaimsBody, deps: Deps, who: Who) -> dict[str, Any]:
    """Enter payments that accounts lost with a restore, under their own ids."""
    found: dict[UUID, Claimed] = {}
    # Refunds last: the payment that a refund names may be claimed in the same request.
    for claim in sorted(body.payments, key=lambda claim: claim.refunds is not None):
        try:
            payment = _claimed_payment(claim, who)
        except BadInput as problem:
            found[claim.payment_id] = Claimed(claim.payment_id, "refused", str(problem))
        else:
            found[claim.payment_id] = await deps.claims.claim(payment, body.reason)
    return {"items": [found[claim.payment_id]._asdict() for claim in body.payments]}


def _claimed_payment(claim: ClaimBody, who: str) -> Payment:
    """The payment to enter again. Raises BadInput for an amount that no payment can have.

    The topic may hold invalid records of others; one of them must not stop the other claims.
    """
    micro = parse_micro(claim.amount)
    if claim.kind == "top-up" and micro <= 0:
        raise BadInput("amount", claim.amount, "more than 0 for a top-up")
    return Payment(
        payment_id=claim.payment_id,
        account_id=claim.account_id,
        idempotency_key="",
        kind=claim.kind,
        amount_micro=micro,
        currency=claim.currency,
        reference=claim.reference,
        received_at=claim.received_at,
        received_by=who,
        refunds=claim.refunds,
        claimed_by=who,
    )


def payment_shown(payment: Payment) -> dict[str, Any]:
    """A payment as API responses carry it."""
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
        "refunds": payment.refunds,
    }
