"""The table of payments: each is kept once, and published in the transaction that writes it."""

from functools import partial
from typing import Any
from uuid import UUID

from accounts.paging import by_columns, decode_cursor, page
from accounts.payments.payment import Payment, check_same
from accounts.payments.store_rows import (
    check_refund_left,
    find_payment,
    insert_payment,
    publish_payment,
)
from accounts.refusals import Unknown, unknown_client
from accounts.reports.store import shown
from accounts.store_rows import count_for
from accounts.typed.instants import read_instant
from accounts.typed.short_ids import find_id
from ringfence.postgres.pool import Pool
from ringfence_contracts.errors import BadInput

_PAYMENT = """
select p.*, l.balance_after_micro, l.posted_at, l.entry_id is not null as posted,
    coalesce((select -sum(r.amount_micro) from accounts.payment r
        where r.refunds = p.payment_id), 0)::bigint as refunded_micro
from accounts.payment p
left join report.ledger l on l.entry_id = p.payment_id
"""


class PaymentStore:
    """Payments, append only."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def currency_of(self, account_id: str) -> str:
        """The currency of an account. Raises Unknown."""
        currency: str | None = await self._pool.fetchval(
            "select currency from accounts.account where account_id = $1", account_id
        )
        if currency is None:
            raise unknown_client(account_id)
        return currency

    async def receive(self, payment: Payment) -> tuple[Payment, bool]:
        """Store and publish a payment, or find the stored one. Returns it, and whether it is new.

        It is committed when this returns. Raises Unknown for the client, BadInput for a currency
        other than the client's, Clash when the key was used for other content, and what
        `check_refund` raises.
        """
        currency = await self.currency_of(payment.account_id)
        if payment.currency != currency:
            raise BadInput("currency", payment.currency, f"{currency}, this account's currency")
        async with self._pool.acquire() as connection, connection.transaction():
            if payment.refunds is not None:
                await check_refund_left(connection, payment)
            if await insert_payment(connection, payment):
                await publish_payment(connection, payment)
                return payment, True
            first = await find_payment(connection, payment.payment_id)
        assert first is not None, "the conflict is on the payment id: it derives from the key"
        check_same(first, payment)
        return first, False

    async def find(self, account_id: str, text: str) -> UUID:
        """The id of the client's payment with this key, or whose id begins with `text`.

        Raises Unknown for none, Clash for several.
        """
        found: UUID | None = await self._pool.fetchval(
            "select payment_id from accounts.payment where account_id = $1"
            " and (payment_id::text = lower($2) or idempotency_key = $2)"
            " order by payment_id::text = lower($2) desc limit 1",
            account_id,
            text,
        )
        if found is not None:
            return found
        candidates = partial(
            self._pool.fetch,
            "select payment_id from accounts.payment where account_id = $1"
            " and payment_id between $2 and $3 order by payment_id limit $4",
            account_id,
        )
        expected = f"`ringfence payments list {account_id}` lists those of this client"
        return await find_id("payment", text, candidates, expected)

    async def payment(self, account_id: str, payment_id: UUID) -> dict[str, Any]:
        """One payment, and its posting. Raises Unknown."""
        row = await self._pool.fetchrow(
            f"{_PAYMENT} where p.account_id = $1 and p.payment_id = $2", account_id, payment_id
        )
        if row is None:
            raise Unknown("payment", str(payment_id), "the id of a payment of this client")
        return shown(row)

    async def payments(self, account_id: str, cursor: str | None, limit: int) -> dict[str, Any]:
        """A client's payments, the newest first."""
        received_at, payment = decode_cursor(cursor, read_instant, UUID)
        rows = await self._pool.fetch(
            f"{_PAYMENT} where p.account_id = $1"
            " and ($2::timestamptz is null or (p.received_at, p.payment_id) < ($2, $3::uuid))"
            " order by p.received_at desc, p.payment_id desc limit $4",
            account_id,
            received_at,
            payment,
            limit + 1,
        )
        query = "select count(*) from accounts.payment where account_id = $1"
        count = await count_for(self._pool, cursor, query, account_id)
        position = by_columns("received_at", "payment_id")
        return page([shown(row) for row in rows], limit, position, count)
