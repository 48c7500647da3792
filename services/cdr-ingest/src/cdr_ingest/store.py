"""The tables `cursor` and `record` of the schema `cdr_ingest`."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from cdr_ingest.legs.store import LegRow, save_legs
from cdr_ingest.polling.window import Cursor
from ringfence.postgres.pool import Pool
from ringfence.postgres.pruning import PruneRule

PRUNED = (
    PruneRule("cdr_ingest.record", "accepted_at"),
    PruneRule("cdr_ingest.leg", "noted_at"),
    PruneRule("cdr_ingest.reconciled", "hour"),
    PruneRule("cdr_ingest.unconfirmed_row", "confirmed_at"),
)
"""What this service deletes after the horizon (docs/retention.md)."""


class RecordRow(NamedTuple):
    """An accepted record; its fields are in the order of the table's columns."""

    record_id: UUID
    server_id: str
    tenant: str
    source: str
    disposition: str
    reason: str
    started_at: datetime | None
    originating_id: UUID | None = None


class IngestStore:
    """How far each feed was read, and which records were accepted."""

    def __init__(self, pool: Pool) -> None:
        self.pool = self._pool = pool

    async def cursor(self, server_id: str, feed: str) -> Cursor | None:
        """How far a feed was read; None if it never was."""
        row = await self._pool.fetchrow(
            "select read_until, swept_at, read_from from cdr_ingest.cursor"
            " where server_id = $1 and lane = $2",
            server_id,
            feed,
        )
        return Cursor(**dict(row)) if row else None

    async def save_cursor(self, server_id: str, feed: str, cursor: Cursor) -> None:
        """Save how far a feed was read. No value decreases, and `read_from` never changes."""
        await self._pool.execute(
            "insert into cdr_ingest.cursor as c"
            " (server_id, lane, read_until, swept_at, read_from) values ($1, $2, $3, $4, $5)"
            " on conflict (server_id, lane) do update set"
            " read_until = greatest(c.read_until, excluded.read_until),"
            " swept_at = greatest(c.swept_at, excluded.swept_at), updated_at = now()",
            server_id,
            feed,
            cursor.read_until,
            cursor.swept_at,
            cursor.read_from,
        )

    async def accepted_ids(self, record_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the ids whose records were accepted before."""
        rows = await self._pool.fetch(
            "select record_id from cdr_ingest.record where record_id = any($1)", record_ids
        )
        return {row["record_id"] for row in rows}

    async def accepted_as(self, record_ids: Sequence[UUID]) -> dict[UUID, tuple[str, bytes | None]]:
        """The disposition of records that were accepted before, and the published value if kept."""
        rows = await self._pool.fetch(
            "select record_id, disposition, value from cdr_ingest.record"
            " left join cdr_ingest.published_call using (record_id) where record_id = any($1)",
            record_ids,
        )
        return {row["record_id"]: (row["disposition"], row["value"]) for row in rows}

    async def save_records(
        self,
        rows: Sequence[RecordRow],
        calls: Sequence[tuple[UUID, bytes]] = (),
        legs: Sequence[LegRow] = (),
    ) -> None:
        """Save records as accepted, published calls as they were published, and legs.

        Rows that exist are not changed.
        """
        if not rows:
            return
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "insert into cdr_ingest.record"
                " (record_id, server_id, tenant, source, disposition, reason, started_at,"
                " originating_id)"
                " select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],"
                " $6::text[], $7::timestamptz[], $8::uuid[]) on conflict (record_id) do nothing",
                *(list(column) for column in zip(*rows, strict=True)),
            )
            if legs:
                await save_legs(connection, legs)
            if calls:
                await connection.execute(
                    "insert into cdr_ingest.published_call (record_id, value)"
                    " select * from unnest($1::uuid[], $2::bytea[])"
                    " on conflict (record_id) do nothing",
                    [call_id for call_id, _ in calls],
                    [value for _, value in calls],
                )
