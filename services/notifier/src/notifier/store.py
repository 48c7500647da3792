"""Mails as rows: from the notice to what became of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from notifier.attempts import Fate
from notifier.notice import LOW_BALANCE_ALERT, VOIP_ZERO_BALANCE, Message, State
from ringfence.kafka.records import Outgoing
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection, Pool

_LEASES = "hashtext('notifier.lease')"
_ACCOUNTS = "hashtext('notifier.account')"
_ALARMS = "hashtext('notifier.alarm')"
_SUPERSEDE = """
with pointless as (
    select m.message_id, why.reason, coalesce(a.mode = 'shadow', false) as shadow
    from notifier.message m
    left join notifier.level l using (account_id)
    left join notifier.account a using (account_id)
    cross join lateral (select case
        when a.mode = 'shadow' then 'the client went to shadow mode'
        when m.template = $2 and m.crossing < l.zero_crossing
            then 'the balance reached zero before this was sent'
        when m.template = $2 and m.occurred_at < a.live_since and m.crossing < l.crossing
            then 'a later alert took its place'
        when m.template = $3 and m.occurred_at < l.restored_at
            then 'the service was restored before this was sent'
    end as reason) as why
    where m.state in ('waiting', 'pending') and ($1::text is null or m.account_id = $1)
        and m.template in ($2, $3) and why.reason is not null
    for update of m skip locked
)
update notifier.message m
set state = 'superseded', last_error = p.reason, shadow = p.shadow
from pointless p
where m.message_id = p.message_id
returning m.*
"""


@dataclass(frozen=True)
class Queued:
    """A message as its row has it. `attempts` counts those that were begun."""

    message_id: UUID
    account_id: str | None
    template: str
    cause_id: UUID
    recipient: str
    subject: str
    text: str
    html: str
    attempts: int
    created_at: datetime
    correlation_id: str


@dataclass(frozen=True)
class Unsent:
    """How many messages are in a state that they should leave, and since when the oldest is."""

    state: State
    count: int
    oldest_at: datetime


class Store:
    """The messages, and the order in which events and senders get at them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def handling(self, account_id: str) -> AsyncIterator[Connection]:
        """A transaction in which no other event of the account is handled, in any replica.

        So a notice that finds no account and the account that comes meanwhile cannot miss each
        other.
        """
        async with self._locked(_ACCOUNTS, account_id) as connection:
            yield connection

    @asynccontextmanager
    async def handling_alarms(self, kind: str) -> AsyncIterator[Connection]:
        """A transaction in which no other alarm of this kind is handled, in any replica."""
        async with self._locked(_ALARMS, kind) as connection:
            yield connection

    @asynccontextmanager
    async def _locked(self, space: str, name: str) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(f"select pg_advisory_xact_lock({space}, hashtext($1))", name)
            yield connection

    async def add(
        self,
        connection: Connection,
        message: Message,
        now: datetime,
        *,
        due_at: datetime | None = None,
        alarm_kind: str | None = None,
    ) -> bool:
        """Add a message, due now or at `due_at`; False where one of the same id exists already."""
        notice, funds = message.notice, message.notice.funds
        return (
            await connection.fetchval(
                "insert into notifier.message (message_id, account_id, template, cause_id, state,"
                " recipient, subject, text_body, html_body, balance_micro, outstanding_micro,"
                " currency, crossing, occurred_at, next_attempt_at, created_at, last_error,"
                " correlation_id, shadow, alarm_kind) values ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
                " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)"
                " on conflict (message_id) do nothing returning true",
                notice.message_id,
                notice.account_id,
                notice.template,
                notice.cause_id,
                message.state,
                message.recipient,
                message.subject,
                message.text,
                message.html,
                funds and funds.balance_micro,
                funds and funds.outstanding_micro,
                funds and funds.currency,
                notice.crossing,
                notice.occurred_at,
                due_at or now,
                now,
                message.reason,
                notice.correlation_id,
                message.shadow,
                alarm_kind,
            )
            is True
        )

    async def supersede(
        self, connection: Connection, account_id: str | None = None
    ) -> list[Queued]:
        """Set aside unsent mails that a later event made pointless; which they were.

        Every mail to a client gives way to shadow mode, a low alert to a later crossing to zero, a
        mail that a service is off to its restoration, and an alert from before the client went
        live to any later one. Rows that are being offered to the SMTP server at this moment are
        left to their sender, which asks again should the server not take them.
        """
        rows = await connection.fetch(_SUPERSEDE, account_id, LOW_BALANCE_ALERT, VOIP_ZERO_BALANCE)
        return [_as_queued(row) for row in rows]

    async def anything_due(self, now: datetime) -> bool:
        """Whether a mail waits to be sent."""
        return (
            await self._pool.fetchval(
                "select exists (select from notifier.message"
                " where state = 'pending' and next_attempt_at <= $1)",
                now,
            )
            is True
        )

    async def next_due(self, connection: Connection, now: datetime) -> Queued | None:
        """The mail that is due longest, locked until the transaction ends; others skip it."""
        row = await connection.fetchrow(
            "select * from notifier.message where state = 'pending' and next_attempt_at <= $1"
            " order by next_attempt_at limit 1 for update skip locked",
            now,
        )
        return None if row is None else _as_queued(row)

    async def too_old(self, connection: Connection, before: datetime) -> list[Queued]:
        """Unsent mails that were written before `before`, locked."""
        rows = await connection.fetch(
            "select * from notifier.message where state = 'pending' and created_at < $1"
            " order by created_at limit 100 for update skip locked",
            before,
        )
        return [_as_queued(row) for row in rows]

    async def mark_sending(self, connection: Connection, message_id: UUID, lease: int) -> None:
        """Say, before the mail itself is said, who is about to."""
        await connection.execute(
            "update notifier.message set state = 'sending', lease = $2, attempts = attempts + 1"
            " where message_id = $1",
            message_id,
            lease,
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction of its own."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    async def settle(
        self,
        connection: Connection,
        message_id: UUID,
        fate: Fate,
        told: Sequence[Outgoing],
        *,
        now: datetime,
        lease: int | None,
    ) -> bool:
        """Write what became of a message, and what is told of it, in one transaction.

        With a `lease`, only if that sender still has the message: False if another took it over.
        A message that was taken for in doubt meanwhile may still turn out sent.
        """
        changed = await connection.fetchval(
            "update notifier.message set state = $2, attempts = $3, next_attempt_at = $4,"
            " last_error = $5, sent_at = case when $2 = 'sent' then $6::timestamptz end"
            " where message_id = $1 and case when $7::int is null then state = 'pending'"
            " else lease = $7 and state in ('sending', 'in-doubt') end returning true",
            message_id,
            fate.state,
            fate.attempts,
            fate.next_attempt_at,
            fate.reason,
            now,
            lease,
        )
        if changed:
            await enqueue(connection, "notifier", told)
        return changed is True

    @asynccontextmanager
    async def lease(self) -> AsyncIterator["Lease"]:
        """A number that is known to be in use for as long as this session lives, and no longer."""
        async with self._pool.acquire() as connection:
            number = await connection.fetchval("select nextval('notifier.lease')::int")
            # The pool gives up all of a session's advisory locks when it takes the session back.
            await connection.execute(f"select pg_advisory_lock({_LEASES}, $1)", number)
            yield Lease(connection, number)

    async def leases_in_use(self) -> list[int]:
        """The leases of all messages that somebody is, or was, about to hand over."""
        rows = await self._pool.fetch(
            "select distinct lease from notifier.message where state = 'sending'"
        )
        return [row["lease"] for row in rows]

    async def left_behind(self, connection: Connection, lease: int) -> list[Queued]:
        """The messages of a sender that lives no more; none while it does."""
        if not await connection.fetchval(f"select pg_try_advisory_xact_lock({_LEASES}, $1)", lease):
            return []
        rows = await connection.fetch(
            "select * from notifier.message where lease = $1 and state = 'sending' for update",
            lease,
        )
        return [_as_queued(row) for row in rows]

    async def unsent(self) -> list[Unsent]:
        """Messages that are neither settled nor in hand, by state."""
        rows = await self._pool.fetch(
            "select state, count(*) as count, min(created_at) as oldest_at from notifier.message"
            " where state in ('waiting', 'pending', 'in-doubt') group by state"
        )
        return [Unsent(row["state"], row["count"], row["oldest_at"]) for row in rows]


@dataclass(frozen=True)
class Lease:
    """A sender's number, and the session that holds it: a claim made in it is never orphaned."""

    connection: Connection
    number: int


def _as_queued(row: asyncpg.Record) -> Queued:
    return Queued(
        message_id=row["message_id"],
        account_id=row["account_id"],
        template=row["template"],
        cause_id=row["cause_id"],
        recipient=row["recipient"],
        subject=row["subject"],
        text=row["text_body"],
        html=row["html_body"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        correlation_id=row["correlation_id"],
    )
