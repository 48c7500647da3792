"""The table of payments: each stands once, and is told in the transaction that writes it."""

from dataclasses import astuple

from accounts.payment import Payment, check_same
from accounts.refusals import unknown_client
from ringfence import ids
from ringfence.errors import BadInput
from ringfence.events.payment import PaymentReceived
from ringfence.kafka.records import Outgoing
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Pool
from ringfence.topics import PAYMENT_RECEIVED


class PaymentStore:
    """Payments, append only."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def currency_of(self, account_id: str) -> str:
        """The currency that an account is kept in. Raises Unknown."""
        currency: str | None = await self._pool.fetchval(
            "select currency from accounts.account where account_id = $1", account_id
        )
        if currency is None:
            raise unknown_client(account_id)
        return currency

    async def receive(self, payment: Payment) -> tuple[Payment, bool]:
        """Keep a payment and tell it, or find it as it was kept before; and whether it is new.

        When this returns, it is committed. Raises Unknown for the client, BadInput for another
        currency than the client's, Clash when the key was used with another content.
        """
        currency = await self.currency_of(payment.account_id)
        if payment.currency != currency:
            raise BadInput("currency", payment.currency, f"{currency}, this account's currency")
        async with self._pool.acquire() as connection, connection.transaction():
            # A second one with the same key waits here until the first is committed or gone.
            fresh = await connection.fetchval(
                "insert into accounts.payment (payment_id, account_id, idempotency_key, kind,"
                " amount_micro, currency, reference, received_at, received_by)"
                " values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
                " on conflict do nothing returning payment_id",
                *astuple(payment),
            )
            if fresh is not None:
                await enqueue(connection, "accounts", [_event(payment)])
                return payment, True
            row = await connection.fetchrow(
                "select * from accounts.payment where payment_id = $1", payment.payment_id
            )
        assert row is not None, "the conflict is on the payment id: it derives from the key"
        first = Payment(**dict(row))
        check_same(first, payment)
        return first, False


def _event(payment: Payment) -> Outgoing:
    data = PaymentReceived(
        payment_id=payment.payment_id,
        account_id=payment.account_id,
        kind=payment.kind,
        amount_micro=payment.amount_micro,
        currency=payment.currency,
        reference=payment.reference,
        received_at=payment.received_at,
    )
    return Outgoing(
        topic=PAYMENT_RECEIVED,
        key=payment.account_id,
        value=data.to_json(),
        event_id=ids.derive(PAYMENT_RECEIVED.name, payment.payment_id),
        time=payment.received_at,
        source="accounts",
        subject=payment.account_id,
        correlation_id=str(payment.payment_id),
    )
