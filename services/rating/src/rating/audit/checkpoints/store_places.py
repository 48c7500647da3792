"""Where accepted calls ended: reads by key behind the checkpoint, and the checkpoint."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from ringfence.postgres.pool import Pool
from ringfence_contracts.ids import charge_id

_TIMEOUT_S = 600
_ACCEPTED = """
select record_id, server_id, accepted_at from report.accepted_record
where disposition = 'published' and accepted_at >= $1 and (accepted_at, record_id) > ($1, $2)
    and accepted_at <= $3
order by accepted_at, record_id limit $4
"""
# Looked at in each run: sealed calls that were open, and rows that their PBX does not confirm.
_OPEN = """
select o.call_id, r.server_id, r.accepted_at
from rating.checkpoint_open_call o join report.accepted_record r on r.record_id = o.call_id
union all
select row_id, server_id, seen_at from report.unconfirmed_row where confirmed_at is null
"""
# A charge has the id that follows from its call: it is found by the ledger's own key. A dead call
# that was sent again and settled is dead no more.
_PLACES = """
select c.call_id, (charged + not_billed)::int as settled,
    case when charged + not_billed + unrated > 0 then charged + not_billed + unrated else dead end
        as places
from (
    select k.call_id,
        (select count(*) from rating.ledger l
            where l.entry_id = k.charge_id and l.kind = 'charge') as charged,
        (select count(*) from rating.not_billed n where n.call_id = k.call_id) as not_billed,
        (select count(*) from rating.unrated u where u.call_id = k.call_id) as unrated,
        (select count(*) from rating.dead_call d where d.call_id = k.call_id) as dead
    from unnest($1::uuid[], $2::uuid[]) as k (call_id, charge_id)
) as c
"""


class AcceptedCall(NamedTuple):
    """A call that cdr-ingest accepted, or a row that its PBX does not confirm."""

    call_id: UUID
    server_id: str
    accepted_at: datetime


class CallPlaces(NamedTuple):
    """In how many places a call is; `settled`: charged or not billed, which does not change."""

    settled: int
    places: int


class PlacesStore:
    """The reads and writes of the checkpoint of I3."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def checkpoint(self) -> tuple[datetime | None, int, datetime]:
        """Up to when calls are sealed (None: none is), how many are, and the database's clock."""
        row = await self._pool.fetchrow(
            "select c.upto, coalesce(c.records, 0) as records, now() as now"
            " from (select 1) as one left join rating.checkpoint_places c on true"
        )
        assert row is not None
        return row["upto"], row["records"], row["now"]

    async def accepted(
        self, after: tuple[datetime, UUID], upto: datetime, limit: int
    ) -> list[AcceptedCall]:
        """Calls behind an instant and an id, in their order."""
        rows = await self._pool.fetch(_ACCEPTED, *after, upto, limit, timeout=_TIMEOUT_S)
        return [AcceptedCall(*row) for row in rows]

    async def open_calls(self) -> list[AcceptedCall]:
        """The calls and rows that are looked at in each run."""
        return [AcceptedCall(*row) for row in await self._pool.fetch(_OPEN, timeout=_TIMEOUT_S)]

    async def places(self, calls: Sequence[AcceptedCall]) -> dict[UUID, CallPlaces]:
        """Where these calls are."""
        ids = [call.call_id for call in calls]
        rows = await self._pool.fetch(
            _PLACES, ids, [charge_id(str(call)) for call in ids], timeout=_TIMEOUT_S
        )
        return {row["call_id"]: CallPlaces(row["settled"], row["places"]) for row in rows}

    async def seal(self, upto: datetime, records: int, open_calls: Sequence[UUID]) -> None:
        """Move the checkpoint on, by so many records; the open ones of them are kept by id."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "insert into rating.checkpoint_open_call select unnest($1::uuid[])"
                " on conflict do nothing",
                open_calls,
            )
            await connection.execute(
                "insert into rating.checkpoint_places as c (upto, records) values ($1, $2)"
                " on conflict (only_row) do update set upto = excluded.upto,"
                " records = c.records + excluded.records where c.upto < excluded.upto",
                upto,
                records,
            )

    async def close(self, call_ids: Sequence[UUID]) -> None:
        """These calls are settled: they need not be looked at again."""
        await self._pool.execute(
            "delete from rating.checkpoint_open_call where call_id = any($1)", call_ids
        )
