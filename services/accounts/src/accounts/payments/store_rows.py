"""Rows of `accounts.payment`, written and read inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime
from uuid import UUID

from accounts.clients.account import Account
from accounts.payments.payment import CLAIMED, OPENING, Payment, check_refund, payment_id
from accounts.refusals import Clash
from accounts.store_rows import lock_name
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection
from ringfence_contracts import ids
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.money import format_micro
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import PAYMENT_RECEIVED


async def insert_payment(connection: Connection, payment: Payment) -> bool:
    """Insert a payment; False if its id or its key exists already."""
    # A concurrent insert of the same key waits here until the first commits or rolls back.
    fresh = await connection.fetchval(
        "insert into accounts.payment (payment_id, account_id, idempotency_key, kind,"
        " amount_micro, currency, reference, received_at, received_by, refunds, claimed_by,"
        " claim_reason)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        " on conflict do nothing returning payment_id",
        *astuple(payment),
    )
    return fresh is not None


async def find_payment(connection: Connection, payment: UUID) -> Payment | None:
    """A payment by its id."""
    row = await connection.fetchrow("select * from accounts.payment where payment_id = $1", payment)
    return Payment(**dict(row)) if row else None


async def check_refund_left(connection: Connection, payment: Payment) -> None:
    """Lock the payment that `payment` refunds, and check that enough of it is left.

    Raises Unknown and Clash. The lock is held until the transaction ends.
    """
    assert payment.refunds is not None
    # An advisory lock: the role of accounts may not update payments, so it cannot lock rows.
    await lock_name(connection, f"payment:{payment.refunds}")
    if await find_payment(connection, payment.payment_id) is not None:
        return
    original = await find_payment(connection, payment.refunds)
    refunded = await connection.fetchval(
        "select coalesce(-sum(amount_micro), 0)::bigint from accounts.payment where refunds = $1",
        payment.refunds,
    )
    check_refund(payment, original, refunded)


async def accepted_payments(connection: Connection, account_ids: Sequence[str]) -> dict[str, int]:
    """The number of payments of each account."""
    rows = await connection.fetch(
        "select account_id, count(*) as accepted from accounts.payment"
        " where account_id = any($1) group by account_id",
        account_ids,
    )
    return {row["account_id"]: row["accepted"] for row in rows}


async def has_postings(connection: Connection, account_id: str) -> bool:
    """Whether anything was posted to the account, or a payment was accepted that will be."""
    found: bool = await connection.fetchval(
        "select exists (select from accounts.payment where account_id = $1)"
        " or exists (select from report.balance where account_id = $1 and version > 0)",
        account_id,
    )
    return found


async def insert_opening(
    connection: Connection, account: Account, amount_micro: int | None, who: str, now: datetime
) -> Payment | None:
    """Insert the opening balance of a locked client; None if there is nothing to post.

    `amount_micro` None, for a new client: 0, or what was posted before accounts lost the client.
    Raises Clash for an amount other than before, and where there are postings but no opening one.
    """
    identity = payment_id(account.account_id, OPENING)
    first = await find_payment(connection, identity)
    posted = await connection.fetchval(
        "select amount_micro from report.ledger where entry_id = $1", identity
    )
    before = first.amount_micro if first else posted
    if before is not None and amount_micro not in (None, before):
        was = f"{format_micro(before)} {account.currency} was posted before"
        raise Clash("opening_balance", _shown(amount_micro), f"{was}; correct it by an adjustment")
    if first is not None:
        return None
    if before is None and await has_postings(connection, account.account_id):
        if amount_micro is None:
            return None
        expected = "the client has postings already; correct its balance by an adjustment"
        raise Clash("opening_balance", _shown(amount_micro), expected)
    amount_micro = before or 0 if amount_micro is None else amount_micro
    payment = Payment(
        payment_id=identity,
        account_id=account.account_id,
        idempotency_key=OPENING,
        kind="adjustment",
        amount_micro=amount_micro,
        currency=account.currency,
        reference="opening balance",
        received_at=now,
        received_by=who,
    )
    await insert_payment(connection, payment)
    return payment


def _shown(amount_micro: int | None) -> str:
    return format_micro(amount_micro or 0)


def claimed_key(account_id: str, payment: UUID) -> str:
    """The key of a claimed payment; an opening balance keeps the key OPENING."""
    return OPENING if payment == payment_id(account_id, OPENING) else f"{CLAIMED}{payment}"


async def publish_payment(connection: Connection, payment: Payment) -> None:
    """Publish a payment through the outbox.

    A claimed payment gets an event id of its own, so that consumers do not take it for a duplicate.
    """
    await enqueue(connection, "accounts", [payment_event(payment)])


def payment_event(payment: Payment) -> Outgoing:
    """`payment.received.v1` of a payment, the same each time."""
    data = PaymentReceived(
        payment_id=payment.payment_id,
        account_id=payment.account_id,
        kind=payment.kind,
        amount_micro=payment.amount_micro,
        currency=payment.currency,
        reference=payment.reference,
        received_at=payment.received_at,
        refunds=payment.refunds,
    )
    again = ("claimed",) if payment.claimed_by else ()
    return Outgoing(
        topic=PAYMENT_RECEIVED,
        key=payment.account_id,
        value=data.to_json(),
        event_id=ids.derive(PAYMENT_RECEIVED.name, payment.payment_id, *again),
        time=payment.received_at,
        source="accounts",
        subject=payment.account_id,
        correlation_id=str(payment.payment_id),
    )
