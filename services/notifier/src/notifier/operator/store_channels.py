"""Deliveries to webhooks and chat as rows: one for each event and channel."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import asyncpg

from ringfence.postgres.pool import Connection, Pool

ChannelKind = Literal["webhook", "chat"]
_CHAT = "hashtext('notifier.chat')"


@dataclass(frozen=True)
class Delivery:
    """A claimed delivery; `attempts` includes the attempt that was claimed."""

    delivery_id: UUID
    body: str
    attempts: int
    created_at: datetime


@dataclass(frozen=True)
class NewDelivery:
    """A delivery to add."""

    delivery_id: UUID
    kind: ChannelKind
    channel: str
    event_type: str
    event_id: UUID
    subject: str
    body: str
    occurred_at: datetime
    alarms: Mapping[str, Any]


@dataclass(frozen=True)
class WaitingChat:
    """A waiting chat message, whose row is locked, and its alarms by id."""

    delivery_id: UUID
    alarms: dict[str, Any]


class ChannelStore:
    """The rows of notifier.channel and notifier.delivery."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def register(self, kind: ChannelKind, names: Sequence[str], now: datetime) -> None:
        """Save new channels; each gets the events from `now` on."""
        await self._pool.executemany(
            "insert into notifier.channel values ($1, $2, $3) on conflict do nothing",
            [(kind, name, now) for name in names],
        )

    async def since(self, kind: ChannelKind) -> dict[str, datetime]:
        """When each channel was registered, by name."""
        rows = await self._pool.fetch(
            "select name, since from notifier.channel where kind = $1", kind
        )
        return {row["name"]: row["since"] for row in rows}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction on a connection of its own."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def handling_chat(self, subject: str) -> AsyncIterator[Connection]:
        """A transaction that holds the lock of this channel and kind of alarm."""
        async with self.transaction() as connection:
            await connection.execute(
                f"select pg_advisory_xact_lock({_CHAT}, hashtext($1))", subject
            )
            yield connection

    async def add(
        self, connection: Connection, delivery: NewDelivery, due_at: datetime, now: datetime
    ) -> None:
        """Add a delivery, unless it exists."""
        await connection.execute(
            "insert into notifier.delivery (delivery_id, kind, channel, event_type, event_id,"
            " subject, body, alarms, state, next_attempt_at, occurred_at, created_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', $9, $10, $11)"
            " on conflict (delivery_id) do nothing",
            delivery.delivery_id,
            delivery.kind,
            delivery.channel,
            delivery.event_type,
            delivery.event_id,
            delivery.subject,
            delivery.body,
            delivery.alarms,
            due_at,
            delivery.occurred_at,
            now,
        )

    async def waiting_chat(
        self, connection: Connection, channel: str, event_type: str, subject: str
    ) -> WaitingChat | None:
        """The message of this kind that was not tried yet, locked; None if there is none."""
        row = await connection.fetchrow(
            "select delivery_id, alarms from notifier.delivery where kind = 'chat'"
            " and channel = $1 and event_type = $2 and subject = $3 and state = 'waiting'"
            " and attempts = 0 order by created_at desc limit 1 for update skip locked",
            channel,
            event_type,
            subject,
        )
        return None if row is None else WaitingChat(row["delivery_id"], dict(row["alarms"]))

    async def rewrite_chat(
        self, connection: Connection, delivery_id: UUID, body: str, alarms: Mapping[str, Any]
    ) -> None:
        """Save a new body of a waiting message."""
        await connection.execute(
            "update notifier.delivery set body = $2, alarms = $3 where delivery_id = $1",
            delivery_id,
            body,
            dict(alarms),
        )

    async def remove_chat(self, connection: Connection, delivery_id: UUID) -> None:
        """Remove a waiting message whose alarms have all ended."""
        await connection.execute(
            "delete from notifier.delivery where delivery_id = $1", delivery_id
        )

    async def last_chat_at(
        self, connection: Connection, channel: str, event_type: str, subject: str
    ) -> datetime | None:
        """When the last message of this kind was sent or is due."""
        last: datetime | None = await connection.fetchval(
            "select max(coalesce(delivered_at, next_attempt_at)) from notifier.delivery"
            " where kind = 'chat' and channel = $1 and event_type = $2 and subject = $3",
            channel,
            event_type,
            subject,
        )
        return last

    async def chat_state(
        self, connection: Connection, channel: str, event_type: str, subject: str, alarm_id: str
    ) -> str | None:
        """The state of the message that is about an alarm; None if there is none."""
        state: str | None = await connection.fetchval(
            "select state from notifier.delivery where kind = 'chat' and channel = $1"
            " and event_type = $2 and subject = $3 and alarms ? $4 limit 1",
            channel,
            event_type,
            subject,
            alarm_id,
        )
        return state

    async def names(self, connection: Connection, account_ids: Sequence[str]) -> dict[str, str]:
        """The names of clients by account."""
        rows = await connection.fetch(
            "select account_id, trim(first_name || ' ' || last_name) as name"
            " from notifier.account where account_id = any($1)",
            list(account_ids),
        )
        return {row["account_id"]: row["name"] for row in rows}

    async def claim(
        self, kind: ChannelKind, channel: str, now: datetime, lease: timedelta
    ) -> Delivery | None:
        """The delivery that is due longest; nobody else gets it before the lease ends."""
        row = await self._pool.fetchrow(
            "update notifier.delivery set attempts = attempts + 1, next_attempt_at = $4"
            " where delivery_id = (select delivery_id from notifier.delivery"
            "  where kind = $1 and channel = $2 and state = 'waiting' and next_attempt_at <= $3"
            "  order by next_attempt_at, delivery_id limit 1 for update skip locked)"
            " returning delivery_id, body, attempts, created_at",
            kind,
            channel,
            now,
            now + lease,
        )
        return None if row is None else Delivery(**row)

    async def save_outcome(
        self,
        delivery_id: UUID,
        state: Literal["waiting", "delivered", "failed"],
        *,
        status: int | None,
        reason: str,
        again_at: datetime,
        now: datetime,
    ) -> None:
        """Save the outcome of an attempt."""
        await self._pool.execute(
            "update notifier.delivery set state = $2, last_status = $3, last_error = $4,"
            " next_attempt_at = $5, delivered_at = case when $2 = 'delivered' then $6::timestamptz"
            " end where delivery_id = $1 and state = 'waiting'",
            delivery_id,
            state,
            status,
            reason,
            again_at,
            now,
        )

    async def prune(self, before: datetime) -> int:
        """Delete at most 1,000 finished deliveries from before `before`; returns how many."""
        rows = await self._pool.fetch(
            "delete from notifier.delivery where delivery_id in (select delivery_id"
            "  from notifier.delivery where state <> 'waiting' and created_at < $1"
            "  order by created_at limit 1000 for update skip locked) returning 1",
            before,
        )
        return len(rows)


async def log_rows(
    pool: Pool, webhook: str | None, state: str | None, limit: int
) -> list[asyncpg.Record]:
    """The newest deliveries to webhooks."""
    rows: list[asyncpg.Record] = await pool.fetch(
        "select * from report.webhook_delivery where ($1::text is null or webhook = $1)"
        " and ($2::text is null or state = $2) order by created_at desc, delivery_id limit $3",
        webhook,
        state,
        limit,
    )
    return rows
