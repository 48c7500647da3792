"""Reads what is stored about one call, and about one account's balance; nothing here writes."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from ringfence.postgres.pool import Pool
from ringfence_contracts.ids import charge_id

_ENTRY = (
    "select l.*, a.currency from rating.ledger l join rating.account a using (account_id)"
    " where l.entry_id = any($1) order by l.account_id, l.version"
)
_IN_RANGE = (
    " from rating.ledger where account_id = $1"
    " and ($2::timestamptz is null or posted_at >= $2)"
    " and ($3::timestamptz is null or posted_at < $3)"
)


StoredRow = dict[str, Any]


class CallHistory(NamedTuple):
    """What is stored about a call: each part is a row, or None."""

    call_id: UUID
    entries: list[StoredRow]
    not_billed: StoredRow | None
    unrated: StoredRow | None
    dead: StoredRow | None
    accepted: StoredRow | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is stored about the call."""
        return not any(self[1:])


class Totals(NamedTuple):
    """The number and sum of a range of an account's entries, and the balances around it."""

    entries: int
    sum_micro: int
    opening_micro: int
    closing_micro: int


class ExplainStore:
    """The reads of explanations."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def history(self, call_id: UUID) -> CallHistory:
        """What is stored about a call."""
        ids = [charge_id(str(call_id))]
        for row in await self._pool.fetch(
            "select replaced_id, reversal_id, charge_id from rating.rerate_change"
            " where call_id = $1",
            call_id,
        ):
            ids += row.values()
        return CallHistory(
            call_id,
            [dict(row) for row in await self._pool.fetch(_ENTRY, ids)],
            await self._row("select * from rating.not_billed where call_id = $1", call_id),
            await self._row("select * from rating.unrated where call_id = $1", call_id),
            await self._row("select * from rating.dead_call where call_id = $1", call_id),
            await self._row("select * from report.accepted_record where record_id = $1", call_id),
        )

    async def _row(self, query: str, argument: object) -> StoredRow | None:
        row = await self._pool.fetchrow(query, argument)
        return None if row is None else dict(row)

    async def entry(self, entry_id: UUID) -> StoredRow | None:
        """A ledger entry."""
        return await self._row(_ENTRY, [entry_id])

    async def ids_from(self, first: UUID, last: UUID) -> list[UUID]:
        """Calls that are unrated, dead or not billed, and entries, whose id is in a range."""
        rows = await self._pool.fetch(
            "select entry_id as id from rating.ledger where entry_id between $1 and $2"
            " union select call_id from rating.unrated where call_id between $1 and $2"
            " union select call_id from rating.not_billed where call_id between $1 and $2"
            " union select call_id from rating.dead_call where call_id between $1 and $2 limit 10",
            first,
            last,
        )
        return [row["id"] for row in rows]

    async def account(self, account_id: str) -> asyncpg.Record | None:
        """An account's balance and time zone."""
        return await self._pool.fetchrow(
            "select a.*, coalesce(p.profile ->> 'time_zone', 'UTC') as time_zone"
            " from rating.account a left join rating.profile p using (account_id)"
            " where a.account_id = $1",
            account_id,
        )

    async def totals(
        self, account_id: str, since: datetime | None, until: datetime | None
    ) -> Totals | None:
        """The totals of an account's entries posted in a range; None without any."""
        row = await self._pool.fetchrow(
            "select count(*), sum(amount_micro)::bigint,"
            " (array_agg(balance_after_micro - amount_micro order by version))[1],"
            " (array_agg(balance_after_micro order by version desc))[1]" + _IN_RANGE,
            account_id,
            since,
            until,
        )
        return Totals(*row) if row and row[0] else None

    async def entries(
        self,
        account_id: str,
        since: datetime | None,
        until: datetime | None,
        kind: str | None,
        limit: int,
    ) -> list[asyncpg.Record]:
        """The `limit` newest entries posted in a range, in ascending order."""
        rows = await self._pool.fetch(
            "select *" + _IN_RANGE + " and ($4::text is null or kind = $4)"
            " order by version desc limit $5",
            account_id,
            since,
            until,
            kind,
            limit,
        )
        return rows[::-1]

    async def drift(self, account_id: str) -> asyncpg.Record | None:
        """How the account's balance differs from its entries (I1); None if it does not."""
        return await self._pool.fetchrow(
            "select * from rating.drift_i1 where account_id = $1", account_id
        )
