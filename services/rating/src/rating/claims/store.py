"""Tables of the claim check: the payments that accounts holds, and those that wait unclaimed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from rating.claims.claim_check import (
    ALARM,
    PaymentClaim,
    UnclaimedPayment,
    WaitingPayment,
    alarm_message,
    subject_of,
    what_to_do,
)
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection
from ringfence_contracts.events.alarm import AlarmText
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import RATING_ALARM

MAX_POSTED = 500
"""Waiting payments that are posted in one transaction, at most."""

_FIRST = UUID(int=0)
_LOCK = "rating.claims"
ALARMS = Alarms(RATING_ALARM, schema="rating")
_READ = """
select k.payment_id,
    p.account_id, p.kind, p.amount_micro, p.currency,
    u.account_id as u_account_id, u.kind as u_kind, u.amount_micro as u_amount_micro,
    u.currency as u_currency
from unnest($1::uuid[]) as k(payment_id)
left join accounts.payment p using (payment_id)
left join rating.unclaimed u using (payment_id)
"""
_CLAIMED_BY_NOW = """
select u.payment_id, u.account_id, u.kind, u.amount_micro, u.currency, u.reference, u.received_at,
    u.refunds, u.correlation_id
from rating.unclaimed u
where u.payment_id > $1 and (
    exists (
        select from accounts.payment p
        where (p.payment_id, p.account_id, p.kind, p.amount_micro, p.currency)
            = (u.payment_id, u.account_id, u.kind, u.amount_micro, u.currency)
    )
    or exists (select from rating.ledger l where l.entry_id = u.payment_id)
)
order by u.payment_id limit $2
"""
_SAVE = """
insert into rating.unclaimed
    (payment_id, account_id, kind, amount_micro, currency, reference, received_at, refunds,
     correlation_id, reason, record, since)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (payment_id) do update set reason = excluded.reason
"""
_ALARMS_WITHOUT_CAUSE = """
select a.subject from rating.alarm a
where a.key = $1 and a.ended_at is null and not exists (
    select from rating.unclaimed u where u.account_id || '/' || u.payment_id = a.subject
)
"""


Claims = tuple[dict[UUID, PaymentClaim], dict[UUID, PaymentClaim]]
"""By payment id: what accounts holds, and what waits unclaimed."""


class ClaimTransaction:
    """The claim check within one batch's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, payment_ids: Sequence[UUID]) -> Claims:
        """Read what accounts holds of these payments, and which of them wait unclaimed.

        Accounts commits a payment and its event (in its outbox) in one transaction. So a payment
        that was read from the topic is committed there, and one query finds it.
        """
        held, waiting = {}, {}
        for row in await self._connection.fetch(_READ, payment_ids):
            payment_id, account_id, kind, amount_micro, currency, *waits = row
            if account_id is not None:
                held[payment_id] = PaymentClaim(account_id, kind, amount_micro, currency)
            if waits[0] is not None:
                waiting[payment_id] = PaymentClaim(*waits)
        return held, waiting

    async def save_unclaimed(
        self, rows: Sequence[UnclaimedPayment], clients: Mapping[str, str], now: datetime
    ) -> None:
        """Save payments as waiting and raise an alarm for each; `clients` are names by account.

        A payment that already waits keeps its content and gets the new reason.
        """
        for row in sorted(rows, key=lambda row: row.payment.payment_id):
            p = row.payment
            await self._connection.execute(
                _SAVE, p.payment_id, p.account_id, p.kind, p.amount_micro, p.currency, p.reference,
                p.received_at, p.refunds, row.correlation_id, row.reason, row.record, now,
            )  # fmt: skip
            text = AlarmText(
                message=alarm_message(row, clients.get(p.account_id, "")),
                what_to_do=what_to_do(p),
                severity="critical",
                account_id=p.account_id,
            )
            subject = subject_of(p.payment_id, p.account_id)
            await ALARMS.raise_alarm(self._connection, ALARM, subject, text, now)

    async def resolve(self, payment_ids: Sequence[UUID], now: datetime) -> None:
        """Delete payments that are in the ledger now, and end their alarms."""
        gone = await self._connection.fetch(
            "delete from rating.unclaimed where payment_id = any($1)"
            " returning payment_id, account_id",
            payment_ids,
        )
        for payment_id, account_id in gone:
            subject = subject_of(payment_id, account_id)
            await ALARMS.end_alarm(self._connection, ALARM, subject, now)

    async def claimed_by_now(self, after: UUID = _FIRST) -> list[WaitingPayment]:
        """A page of the waiting payments that accounts holds now or that are posted, by their ids.

        Empty while another replica processes them.
        """
        if not await self._connection.fetchval(
            "select pg_try_advisory_xact_lock(hashtext($1))", _LOCK
        ):
            return []
        rows = await self._connection.fetch(_CLAIMED_BY_NOW, after, MAX_POSTED)
        return [_waiting(dict(row)) for row in rows]

    async def end_alarms_without_cause(self, now: datetime) -> None:
        """End the alarms of payments that wait no longer because an operator deleted them."""
        for row in await self._connection.fetch(_ALARMS_WITHOUT_CAUSE, ALARM):
            await ALARMS.end_alarm(self._connection, ALARM, row["subject"], now)

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Write events to the outbox: no record caused them, so no batch publishes them."""
        await enqueue(self._connection, "rating", events)


def _waiting(row: dict[str, object]) -> WaitingPayment:
    correlation_id = str(row.pop("correlation_id"))
    return WaitingPayment(PaymentReceived.model_validate(row), correlation_id)
