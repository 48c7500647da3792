"""The unrated queue: what waits in it, what is marked for another attempt, what became of it."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from rating.store import BatchTransaction
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Pool
from ringfence_contracts.records import Outgoing

AT_ONCE = 500
"""Calls that are taken up in one transaction."""

_LOCK = "rating.replay"
_MARK = (
    "update rating.unrated u set replay_requested_at = now()"
    " where ($1::text[] is null or exists (select from unnest($1::text[]) as c(id)"
    " where starts_with(u.call_id::text, c.id)))"
    " and ($2::text is null or u.reason = $2)"
    " and ($3::text is null or lower(u.tenant) = lower($3))"
    " returning u.call_id"
)


class UnratedCount(NamedTuple):
    """What waits for one reason: how many calls, their seconds, the oldest one's age."""

    reason: str
    calls: int
    billsec: int
    oldest_s: int
    marked: int


class ReplaySelection(NamedTuple):
    """Which calls of the queue: all that meet every condition that is set.

    `call_ids` may be shortened to their first characters.
    """

    call_ids: tuple[str, ...] = ()
    reason: str | None = None
    tenant: str | None = None


class ReplayTransaction(BatchTransaction):
    """A settlement of calls from the queue; its events wait in the outbox."""

    async def marked(self) -> list[str]:
        """Records of calls to be tried again, the oldest first; none while another replica does it.

        The rows are not locked: accounts are locked first everywhere, and a call that the stream
        settles meanwhile is found standing.
        """
        mine = await self._connection.fetchval(
            "select pg_try_advisory_xact_lock(hashtext($1))", _LOCK
        )
        if not mine:
            return []
        rows = await self._connection.fetch(
            "select call from rating.unrated where replay_requested_at is not null"
            " order by replay_requested_at, started_at limit $1",
            AT_ONCE,
        )
        return [row["call"] for row in rows]

    async def finish_replay(
        self, settled: Collection[UUID], waiting: Collection[UUID], events: Sequence[Outgoing]
    ) -> None:
        """The attempt is over: `settled` leave the queue, `waiting` lose their mark."""
        await self._connection.execute(
            "delete from rating.unrated where call_id = any($1)", list(settled)
        )
        await self._connection.execute(
            "update rating.unrated set replay_requested_at = null where call_id = any($1)",
            list(waiting),
        )
        await enqueue(self._connection, "rating", events)


class ReplayStore:
    """Marks calls of the queue, and opens settlements of those that are marked."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[ReplayTransaction]:
        """A transaction in which marked calls are settled, told and unmarked: all or nothing."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield ReplayTransaction(connection)

    async def mark_tenants(self, places: Sequence[tuple[str, str]], since: datetime) -> None:
        """Mark calls queued since then that come from these places (server_id, tenant)."""
        await self._pool.execute(
            "update rating.unrated u set replay_requested_at = now()"
            " from unnest($1::text[], $2::text[]) as p(server_id, tenant)"
            " where u.server_id = p.server_id and lower(u.tenant) = lower(p.tenant)"
            " and u.queued_at >= $3",
            [server_id for server_id, _ in places],
            [tenant for _, tenant in places],
            since,
        )

    async def mark_for_tariff(self, since: datetime) -> None:
        """Mark calls queued since then that a new tariff version may resolve."""
        await self._pool.execute(
            "update rating.unrated set replay_requested_at = now() where queued_at >= $1"
            " and reason in ('no-tariff-in-force', 'no-matching-prefix', 'currency-mismatch')",
            since,
        )

    async def mark(self, choice: ReplaySelection) -> list[UUID]:
        """Mark the calls that an operator chose; their ids."""
        rows = await self._pool.fetch(
            _MARK,
            list(choice.call_ids) or None,
            choice.reason,
            choice.tenant,
        )
        return [row["call_id"] for row in rows]

    async def still_marked(self, call_ids: Sequence[UUID]) -> int:
        """How many of these calls were not taken up yet."""
        return int(
            await self._pool.fetchval(
                "select count(*) from rating.unrated"
                " where call_id = any($1) and replay_requested_at is not null",
                call_ids,
            )
        )

    async def reasons(self, call_ids: Sequence[UUID]) -> dict[str, int]:
        """Why those of these calls wait that are in the queue still."""
        rows = await self._pool.fetch(
            "select reason, count(*) as calls from rating.unrated where call_id = any($1)"
            " group by reason order by reason",
            call_ids,
        )
        return {row["reason"]: row["calls"] for row in rows}

    async def waiting(self) -> list[UnratedCount]:
        """What waits, by reason."""
        rows = await self._pool.fetch(
            "select reason, count(*), sum(billsec)::bigint,"
            " extract(epoch from now() - min(queued_at))::bigint, count(replay_requested_at)"
            " from rating.unrated group by reason order by reason"
        )
        return [UnratedCount(*row) for row in rows]
