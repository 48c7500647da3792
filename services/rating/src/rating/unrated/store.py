"""The table of the unrated queue: what waits, what is marked for another attempt, the outcome."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from rating.store import BatchTransaction
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Pool
from ringfence_contracts.records import Outgoing

MAX_REPLAYED = 500
"""Calls that are rated again in one transaction, at most."""

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
    """The calls that wait for one reason: number, talk time, age of the oldest in seconds."""

    reason: str
    calls: int
    billsec: int
    oldest_s: int
    marked: int


class ReplaySelection(NamedTuple):
    """Calls of the queue: those that meet every condition which is set.

    `call_ids` may be shortened to their first characters.
    """

    call_ids: tuple[str, ...] = ()
    reason: str | None = None
    tenant: str | None = None


class ReplayOutcome(NamedTuple):
    """Of marked calls: how many were settled, how many not tried yet, and the rest by reason."""

    settled: int
    not_tried: int
    waiting: dict[str, int]


class ReplayTransaction(BatchTransaction):
    """A batch of calls from the queue; its events are written to the outbox."""

    async def marked(self) -> list[str]:
        """Records of marked calls, the oldest mark first; none while another replica rates them.

        The rows are not locked, because accounts must be locked first everywhere. A call that the
        pipeline charges in the meantime is found in the ledger.
        """
        mine = await self._connection.fetchval(
            "select pg_try_advisory_xact_lock(hashtext($1))", _LOCK
        )
        if not mine:
            return []
        rows = await self._connection.fetch(
            "select call from rating.unrated where replay_requested_at is not null and not is_row"
            " order by replay_requested_at, started_at limit $1",
            MAX_REPLAYED,
        )
        return [row["call"] for row in rows]

    async def finish_replay(
        self, settled: Collection[UUID], waiting: Collection[UUID], events: Sequence[Outgoing]
    ) -> None:
        """End the attempt: delete `settled` from the queue, remove the mark of `waiting`."""
        await self._connection.execute(
            "delete from rating.unrated where call_id = any($1)", list(settled)
        )
        await self._connection.execute(
            "update rating.unrated set replay_requested_at = null where call_id = any($1)",
            list(waiting),
        )
        await enqueue(self._connection, "rating", events)


class ReplayStore:
    """Marks calls of the queue, and opens transactions for marked ones."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[ReplayTransaction]:
        """A transaction in which marked calls are rated, published and unmarked: all or nothing."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield ReplayTransaction(connection)

    async def mark_tenants(self, tenants: Sequence[tuple[str, str]], since: datetime) -> None:
        """Mark calls of these tenants (server_id, tenant) that were queued since `since`."""
        await self._pool.execute(
            "update rating.unrated u set replay_requested_at = now()"
            " from unnest($1::text[], $2::text[]) as p(server_id, tenant)"
            " where u.server_id = p.server_id and lower(u.tenant) = lower(p.tenant)"
            " and u.queued_at >= $3 and not u.is_row",
            [server_id for server_id, _ in tenants],
            [tenant for _, tenant in tenants],
            since,
        )

    async def mark_for_tariff(self, since: datetime) -> None:
        """Mark calls queued since `since` that a new tariff version may resolve."""
        await self._pool.execute(
            "update rating.unrated set replay_requested_at = now() where queued_at >= $1"
            " and reason in ('no-tariff-in-force', 'no-matching-prefix', 'currency-mismatch')",
            since,
        )

    async def mark(self, selection: ReplaySelection) -> list[UUID]:
        """Mark the calls that an operator selected; their ids."""
        rows = await self._pool.fetch(
            _MARK,
            list(selection.call_ids) or None,
            selection.reason,
            selection.tenant,
        )
        return [row["call_id"] for row in rows]

    async def outcome(self, call_ids: Sequence[UUID]) -> ReplayOutcome:
        """What came of another attempt for these calls so far."""
        rows = await self._pool.fetch(
            "select case when replay_requested_at is null then reason end as reason,"
            " count(*) as calls from rating.unrated where call_id = any($1)"
            " group by 1 order by 1",
            call_ids,
        )
        found = {row["reason"]: row["calls"] for row in rows}
        not_tried = found.pop(None, 0)
        settled = len(call_ids) - not_tried - sum(found.values())
        return ReplayOutcome(settled, not_tried, found)

    async def find_rows(self, selection: ReplaySelection) -> list[UUID]:
        """The rows of the queue that their PBX did not confirm, by their ids."""
        rows = await self._pool.fetch(
            "select u.call_id from rating.unrated u where u.is_row and exists ("
            "select from unnest($1::text[]) as c(id) where starts_with(u.call_id::text, c.id))",
            list(selection.call_ids),
        )
        return [row["call_id"] for row in rows]

    async def waiting(self) -> list[UnratedCount]:
        """The calls that wait, by reason."""
        rows = await self._pool.fetch(
            "select reason, count(*), sum(billsec)::bigint,"
            " extract(epoch from now() - min(queued_at))::bigint, count(replay_requested_at)"
            " from rating.unrated group by reason order by reason"
        )
        return [UnratedCount(*row) for row in rows]
