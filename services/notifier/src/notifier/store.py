"""The queue of mails in the database, and the locks between events, senders and replicas."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from notifier.form.mail import RenderedMail
from notifier.merge_fields import ClientFunds
from notifier.owed.notice import MailNotice, MailState
from notifier.sending.attempts import DeliveryOutcome
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection, Pool
from ringfence.postgres.pruning import PruneRule
from ringfence_contracts.records import Outgoing

_LEASES = "hashtext('notifier.lease')"
_ACCOUNTS = "hashtext('notifier.account')"
_ALARMS = "hashtext('notifier.alarm')"

PRUNED = (
    PruneRule(
        "notifier.message",
        "created_at",
        "state in ('sent', 'failed', 'dropped') and not again and (number is null or exists ("
        "select from notifier.message newer where newer.account_id = t.account_id"
        " and newer.kind = t.kind and newer.number > t.number and not newer.shadow))",
    ),
    PruneRule("notifier.command", "answered_at"),
    PruneRule("notifier.known_alarm", "ended_at"),
)
"""What this service deletes after the horizon (docs/retention.md). The mails about a client's
newest stay and hold are kept: they say that nothing more is owed."""


@dataclass(frozen=True)
class OwedMail:
    """A row of the queue. Subject and texts are empty until the mail was first offered.

    `attempts` counts the attempts that were begun. `due_at` is when it could first be sent.
    """

    notice: MailNotice
    state: MailState
    recipient: str
    subject: str
    text: str
    html: str
    attempts: int
    created_at: datetime
    due_at: datetime
    waits_for: str

    @property
    def message_id(self) -> UUID:
        """The id of the notice, of its row and of its mail."""
        return self.notice.message_id


@dataclass(frozen=True)
class Unsent:
    """The number of mails in a state that they should leave, and when the oldest was created."""

    state: MailState
    count: int
    oldest_at: datetime


class MailStore:
    """The queue of mails. Replicas share it by row locks."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def handling(self, account_id: str) -> AsyncIterator[Connection]:
        """A transaction that holds the account's lock: no replica processes another event of it.

        Otherwise a notice could miss an account that is saved at the same time, and the account
        could miss the notice.
        """
        async with self._locked(_ACCOUNTS, account_id) as connection:
            yield connection

    @asynccontextmanager
    async def handling_alarms(self, kind: str) -> AsyncIterator[Connection]:
        """A transaction that holds the lock of this kind of alarm, over all replicas."""
        async with self._locked(_ALARMS, kind) as connection:
            yield connection

    @asynccontextmanager
    async def _locked(self, space: str, name: str) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(f"select pg_advisory_xact_lock({space}, hashtext($1))", name)
            yield connection

    async def lock_account(self, connection: Connection, account_id: str) -> None:
        """Lock the account against other events until this transaction ends."""
        await connection.execute(
            f"select pg_advisory_xact_lock({_ACCOUNTS}, hashtext($1))", account_id
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction on a connection of its own."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    async def anything_due(self, now: datetime) -> bool:
        """Whether a mail is due."""
        return (
            await self._pool.fetchval(
                "select exists (select from notifier.message"
                " where state = 'waiting' and next_attempt_at <= $1)",
                now,
            )
            is True
        )

    async def next_due(self, connection: Connection, now: datetime) -> OwedMail | None:
        """The most urgent mail that is due, locked until the transaction ends; others skip it."""
        row = await connection.fetchrow(
            "select * from notifier.message where state = 'waiting' and next_attempt_at <= $1"
            " order by priority, next_attempt_at limit 1 for update skip locked",
            now,
        )
        return None if row is None else as_owed(row)

    async def too_old(self, connection: Connection, before: datetime) -> list[OwedMail]:
        """At most 100 unsent mails that were due before `before`, locked."""
        rows = await connection.fetch(
            "select * from notifier.message where state = 'waiting' and waits_for = ''"
            " and due_at < $1 order by due_at limit 100 for update skip locked",
            before,
        )
        return [as_owed(row) for row in rows]

    async def save_content(
        self, connection: Connection, message_id: UUID, recipient: str, mail: RenderedMail
    ) -> None:
        """Save recipient, subject and texts of a mail as they are offered, without its secret."""
        await connection.execute(
            "update notifier.message set recipient = $2, subject = $3, text_body = $4,"
            " html_body = $5 where message_id = $1",
            message_id,
            recipient,
            mail.without_secret(mail.subject),
            mail.without_secret(mail.text),
            mail.without_secret(mail.html),
        )

    async def mark_sending(
        self, connection: Connection, message_id: UUID, lease: int, now: datetime
    ) -> None:
        """Save that this lease's sender is about to send a mail's text, and count the attempt."""
        await connection.execute(
            "update notifier.message set state = 'sending', lease = $2, attempts = attempts + 1,"
            " offered_at = $3, last_error = '' where message_id = $1",
            message_id,
            lease,
            now,
        )

    async def save_outcome(
        self,
        connection: Connection,
        message_id: UUID,
        outcome: DeliveryOutcome,
        events: Sequence[Outgoing],
        *,
        now: datetime,
        lease: int | None,
    ) -> bool:
        """Save a mail's outcome and its events, in the caller's transaction.

        With a `lease`, only if that sender still owns the mail; False if another one took it over.
        A mail that recovery has marked as in doubt can still become `sent`.
        """
        changed = await connection.fetchval(
            "update notifier.message set state = $2, attempts = $3,"
            " next_attempt_at = case when $2 = 'waiting' then $4::timestamptz end,"
            " last_error = $5, sent_at = case when $2 = 'sent' then $6::timestamptz end"
            " where message_id = $1 and case when $7::int is null then state = 'waiting'"
            " else lease = $7 and state in ('sending', 'in-doubt') end returning true",
            message_id,
            outcome.state,
            outcome.attempts,
            outcome.next_attempt_at,
            outcome.reason,
            now,
            lease,
        )
        if changed:
            await enqueue(connection, "notifier", events)
        return changed is True

    @asynccontextmanager
    async def lease(self) -> AsyncIterator["Lease"]:
        """A new lease: a number whose advisory lock is held until this database session ends."""
        async with self._pool.acquire() as connection:
            number = await connection.fetchval("select nextval('notifier.lease')::int")
            # The pool releases a session's advisory locks when the session is returned to it.
            await connection.execute(f"select pg_advisory_lock({_LEASES}, $1)", number)
            yield Lease(connection, number)

    async def leases_in_use(self) -> list[int]:
        """The leases of all mails in the state `sending`, held or not."""
        rows = await self._pool.fetch(
            "select distinct lease from notifier.message where state = 'sending'"
        )
        return [row["lease"] for row in rows]

    async def orphaned_mails(self, connection: Connection, lease: int) -> list[OwedMail]:
        """The mails in `sending` of an ended sender, locked; empty while its lease is held."""
        if not await connection.fetchval(f"select pg_try_advisory_xact_lock({_LEASES}, $1)", lease):
            return []
        rows = await connection.fetch(
            "select * from notifier.message where lease = $1 and state = 'sending' for update",
            lease,
        )
        return [as_owed(row) for row in rows]

    async def unsent(self) -> list[Unsent]:
        """The numbers of waiting and in-doubt mails, by state."""
        rows = await self._pool.fetch(
            "select state, count(*) as count, min(created_at) as oldest_at from notifier.message"
            " where state in ('waiting', 'in-doubt') group by state"
        )
        return [Unsent(row["state"], row["count"], row["oldest_at"]) for row in rows]


@dataclass(frozen=True)
class Lease:
    """A sender's number, and the database session that holds its lock.

    The sender marks mails in this session, so that its lock is held as long as a mark can be made.
    """

    connection: Connection
    number: int


def as_owed(row: asyncpg.Record) -> OwedMail:
    """The mail in a row of notifier.message."""
    funds = ClientFunds(row["balance_micro"], row["outstanding_micro"], row["currency"])
    return OwedMail(
        notice=MailNotice(
            message_id=row["message_id"],
            account_id=row["account_id"],
            kind=row["kind"],
            template=row["template"],
            cause_id=row["cause_id"],
            funds=None if funds.currency is None else funds,
            occurred_at=row["occurred_at"],
            correlation_id=row["correlation_id"],
            number=row["number"],
            day=row["day"],
            crossing=row["crossing"],
            balance_version=row["balance_version"],
            confirmed_off=row["confirmed_off"],
            would_be=row["shadow"] and row["state"] == "waiting",
        ),
        state=row["state"],
        recipient=row["recipient"],
        subject=row["subject"],
        text=row["text_body"],
        html=row["html_body"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        due_at=row["due_at"],
        waits_for=row["waits_for"],
    )
