"""Payments in the tables of accounts: rating posts no others (docs/adr/0024)."""

from collections.abc import Sequence
from typing import Any

from ringfence_contracts.events.payment import PaymentReceived

_ACCOUNTS = """
insert into accounts.account
    (account_id, version, currency, time_zone, client, profile, changed_at)
select distinct on (a) a, 1, c, 'UTC', '{}'::jsonb, '{}'::jsonb, now()
from unnest($1::text[], $2::text[]) as n(a, c)
on conflict (account_id) do nothing
"""
_PAYMENTS = """
insert into accounts.payment
    (payment_id, account_id, idempotency_key, kind, amount_micro, currency, reference, received_at,
     received_by)
select *, 'test' from unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
    $8::timestamptz[])
on conflict do nothing
"""


async def insert_payments(connection: Any, payments: Sequence[PaymentReceived]) -> None:
    """Insert `payments` into the tables of accounts, and the clients that are missing there.

    `connection` may write in the schema of accounts. A payment that exists stays as it is.
    """
    await connection.execute(
        _ACCOUNTS, [p.account_id for p in payments], [p.currency for p in payments]
    )
    rows = [
        (
            p.payment_id, p.account_id, _key(p), p.kind, p.amount_micro, p.currency, p.reference,
            p.received_at,
        )
        for p in payments
    ]  # fmt: skip
    await connection.execute(_PAYMENTS, *(list(column) for column in zip(*rows, strict=True)))


def _key(payment: PaymentReceived) -> str:
    """A unique idempotency key; `opening` for amount 0, which only an opening balance has."""
    return str(payment.payment_id) if payment.amount_micro else "opening"
