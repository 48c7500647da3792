"""Claims: payments on the topic that accounts lost by a restore are entered again: SQL."""

from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from accounts.payments.payment import OPENING, Payment, check_same
from accounts.payments.store_rows import (
    check_refund_left,
    claimed_key,
    find_payment,
    insert_payment,
    publish_payment,
)
from accounts.refusals import Clash, Unknown
from accounts.reports.store import shown
from ringfence.postgres.pool import Connection, Pool


class Claimed(NamedTuple):
    """The outcome of a claim: `claimed`, `known` or `refused`, and why."""

    payment_id: UUID
    outcome: str
    why: str = ""


class ClaimStore:
    """Enters lost payments under their own ids."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def unclaimed(self) -> list[dict[str, Any]]:
        """The payments on the topic that rating could not post, the oldest first."""
        rows = await self._pool.fetch(
            "select u.*, a.currency as account_currency, p.payment_id is not null as held"
            " from report.unclaimed_payment u left join accounts.account a using (account_id)"
            " left join accounts.payment p on p.payment_id = u.payment_id"
            " order by u.since, u.payment_id limit 10000"
        )
        return [_unclaimed(shown(row)) for row in rows]

    async def claim(self, payment: Payment, reason: str) -> Claimed:
        """Enter one payment and publish it again, in one transaction."""
        key = claimed_key(payment.account_id, payment.payment_id)
        payment = replace(payment, idempotency_key=key, claim_reason=reason)
        async with self._pool.acquire() as connection, connection.transaction():
            problem = await self._problem(connection, payment)
            if problem:
                return Claimed(payment.payment_id, "refused", problem)
            if await insert_payment(connection, payment):
                await publish_payment(connection, payment)
                return Claimed(payment.payment_id, "claimed")
            first = await find_payment(connection, payment.payment_id)
        if first is None:
            return Claimed(payment.payment_id, "refused", "its key belongs to another payment")
        return _known(first, payment)

    async def _problem(self, connection: Connection, payment: Payment) -> str:
        """Why a payment may not be entered; empty when it may."""
        currency = await connection.fetchval(
            "select currency from accounts.account where account_id = $1", payment.account_id
        )
        if currency is None:
            return f"there is no client {payment.account_id}: enter the client first"
        if currency != payment.currency:
            return f"client {payment.account_id} is kept in {currency}, not {payment.currency}"
        if payment.amount_micro == 0 and payment.idempotency_key != OPENING:
            return "an amount of 0 is only known of opening balances"
        if payment.refunds is None:
            return ""
        try:
            await check_refund_left(connection, payment)
        except (Unknown, Clash) as refused:
            return str(refused)
        return ""


def _known(first: Payment, again: Payment) -> Claimed:
    if first.account_id != again.account_id:
        why = f"accounts holds it as a payment of client {first.account_id}"
        return Claimed(again.payment_id, "refused", why)
    try:
        check_same(replace(first, reference=again.reference), again)
    except Clash as different:
        why = f"accounts holds it with another {different.field}"
        return Claimed(again.payment_id, "refused", why)
    return Claimed(again.payment_id, "known", "accounts holds it already")


def _unclaimed(row: dict[str, Any]) -> dict[str, Any]:
    """A payment that waits to be claimed, with what a claim of it would do."""
    currency, held = row.pop("account_currency"), row.pop("held")
    if currency is None:
        problem = "accounts has no such client: enter the client first"
    elif currency != row["currency"]:
        problem = f"the client is kept in {currency}: such a payment cannot be claimed"
    elif held:
        problem = "accounts holds it otherwise: look for who wrote the record"
    else:
        problem = "accounts does not hold it: claim it if it is yours"
    return {**row, "claim_problem": problem}
