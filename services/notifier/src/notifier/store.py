"""The notifier's tables: the only file with its SQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from notifier.attempts import Fate
from notifier.merge_fields import Account, Funds
from notifier.notice import LOW_BALANCE_ALERT, VOIP_ZERO_BALANCE, Message, Notice, State
from ringfence.kafka.records import Outgoing
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection, Pool

_ACCOUNT = (
    "account_id, version, first_name, last_name, company_name, email, wants_mail,"
    " low_balance_threshold, threshold_micro"
)
_LEASES = "hashtext('notifier.lease')"
_ACCOUNTS = "hashtext('notifier.account')"


@dataclass(frozen=True)
class Queued:
    """A message as its row has it. `attempts` counts those that were begun."""

    message_id: UUID
    account_id: str
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
    """Accounts, levels and messages."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def handling(self, account_id: str) -> AsyncIterator[Connection]:
        """A transaction in which no other event of the account is handled, in any replica.

        So a notice that finds no account and the account that comes meanwhile can not miss each
        other.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                f"select pg_advisory_xact_lock({_ACCOUNTS}, hashtext($1))", account_id
            )
            yield connection

    async def keep_account(self, connection: Connection, account: Account) -> None:
        """Keep the account, unless a newer version of it is there."""
        await connection.execute(
            f"insert into notifier.account ({_ACCOUNT})"  # noqa: S608 - constants of this file
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
            " on conflict (account_id) do update set (version, first_name, last_name,"
            " company_name, email, wants_mail, low_balance_threshold, threshold_micro)"
            " = (excluded.version, excluded.first_name, excluded.last_name,"
            " excluded.company_name, excluded.email, excluded.wants_mail,"
            " excluded.low_balance_threshold, excluded.threshold_micro)"
            " where account.version < excluded.version",
            account.account_id,
            account.version,
            account.first_name,
            account.last_name,
            account.company_name,
            account.email,
            account.wants_mail,
            account.low_balance_threshold,
            account.threshold_micro,
        )

    async def account(self, connection: Connection, account_id: str) -> Account | None:
        """The account's newest version that was read, or None."""
        row = await connection.fetchrow(
            f"select {_ACCOUNT} from notifier.account where account_id = $1",  # noqa: S608
            account_id,
        )
        return None if row is None else Account(**row)

    async def note_level(
        self,
        connection: Connection,
        account_id: str,
        level: Literal["low", "exhausted"],
        crossing: int,
    ) -> None:
        """Keep the level that the latest crossing reached, and which was the latest to zero."""
        await connection.execute(
            "insert into notifier.level as known (account_id, level, crossing, zero_crossing)"
            " values ($1, $2, $3::int, case when $2 = 'exhausted' then $3::int end)"
            " on conflict (account_id) do update set"
            " level = case when excluded.crossing >= coalesce(known.crossing, 0)"
            "  then excluded.level else known.level end,"
            " crossing = greatest(known.crossing, excluded.crossing),"
            " zero_crossing = greatest(known.zero_crossing, excluded.zero_crossing)",
            account_id,
            level,
            crossing,
        )

    async def note_restored(
        self, connection: Connection, account_id: str, restored_at: datetime
    ) -> None:
        """Keep when a service of the account was last on again."""
        await connection.execute(
            "insert into notifier.level (account_id, restored_at) values ($1, $2)"
            " on conflict (account_id) do update"
            " set restored_at = greatest(level.restored_at, excluded.restored_at)",
            account_id,
            restored_at,
        )

    async def add(self, connection: Connection, message: Message, now: datetime) -> bool:
        """Add a message; False where one of the same id is there already."""
        notice, funds = message.notice, message.notice.funds
        return (
            await connection.fetchval(
                "insert into notifier.message (message_id, account_id, template, cause_id, state,"
                " recipient, subject, text_body, html_body, balance_micro, outstanding_micro,"
                " currency, crossing, occurred_at, next_attempt_at, created_at, last_error,"
                " correlation_id) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
                " $14, $15, $15, $16, $17) on conflict (message_id) do nothing returning true",
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
                now,
                message.reason,
                notice.correlation_id,
            )
            is True
        )

    async def notice(self, connection: Connection, message_id: UUID) -> Notice:
        """What a message that was added before says."""
        row = await connection.fetchrow(
            "select * from notifier.message where message_id = $1", message_id
        )
        assert row is not None, "messages are never removed"
        return _as_notice(row)

    async def waiting(self, connection: Connection, account_id: str) -> list[Notice]:
        """The account's notices that came before the account did."""
        rows = await connection.fetch(
            "select * from notifier.message where account_id = $1 and state = 'waiting'"
            " order by created_at for update",
            account_id,
        )
        return [_as_notice(row) for row in rows]

    async def reword(self, connection: Connection, message: Message, now: datetime) -> None:
        """Give a waiting message its words, and the time to try it: now."""
        await connection.execute(
            "update notifier.message set state = $2, recipient = $3, subject = $4,"
            " text_body = $5, html_body = $6, last_error = $7, next_attempt_at = $8"
            " where message_id = $1 and state = 'waiting'",
            message.notice.message_id,
            message.state,
            message.recipient,
            message.subject,
            message.text,
            message.html,
            message.reason,
            now,
        )

    async def supersede(
        self, connection: Connection, account_id: str | None = None
    ) -> list[Queued]:
        """Set aside unsent mails that a later event made pointless; which they were.

        A low alert gives way to a later crossing to zero; a mail that a service is off, to its
        restoration. Rows that are being offered to the SMTP server at this moment are left to
        their sender, which asks again should the server not take them.
        """
        rows = await connection.fetch(
            "with pointless as (select m.message_id from notifier.message m"
            " join notifier.level l using (account_id)"
            " where m.state in ('waiting', 'pending') and ($1::text is null or m.account_id = $1)"
            " and (m.template = $2 and m.crossing < l.zero_crossing"
            "  or m.template = $3 and m.occurred_at < l.restored_at)"
            " for update of m skip locked)"
            " update notifier.message set state = 'superseded', last_error = case template"
            "  when $2 then 'the balance reached zero before this was sent'"
            "  else 'the service was restored before this was sent' end"
            " where message_id in (select message_id from pointless)"
            " returning *",
            account_id,
            LOW_BALANCE_ALERT,
            VOIP_ZERO_BALANCE,
        )
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


def _as_notice(row: asyncpg.Record) -> Notice:
    funds = Funds(row["balance_micro"], row["outstanding_micro"], row["currency"])
    return Notice(
        message_id=row["message_id"],
        account_id=row["account_id"],
        template=row["template"],
        cause_id=row["cause_id"],
        funds=None if funds.currency is None else funds,
        crossing=row["crossing"],
        occurred_at=row["occurred_at"],
        correlation_id=row["correlation_id"],
    )
