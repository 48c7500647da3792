"""Cdr-ingest's tables: the only file with its SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from cdr_ingest.polling.window import Cursor
from ringfence.postgres.pool import Pool


class RecordRow(NamedTuple):
    """A record that was accepted, in the order of the table's columns."""

    record_id: UUID
    server_id: str
    tenant: str
    source: str
    disposition: str
    reason: str
    started_at: datetime | None


class IngestStore:
    """Everything that cdr-ingest keeps."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def cursor(self, server_id: str, lane: str) -> Cursor | None:
        """How far a lane was read; None if it never was."""
        row = await self._pool.fetchrow(
            "select read_until, longest_call_s, swept_at, read_from from cdr_ingest.cursor"
            " where server_id = $1 and lane = $2",
            server_id,
            lane,
        )
        return Cursor(**dict(row)) if row else None

    async def move(self, server_id: str, lane: str, cursor: Cursor) -> None:
        """Keep how far a lane was read. Never backwards; where it began stays."""
        await self._pool.execute(
            "insert into cdr_ingest.cursor as c"
            " (server_id, lane, read_until, longest_call_s, swept_at, read_from)"
            " values ($1, $2, $3, $4, $5, $6)"
            " on conflict (server_id, lane) do update set"
            " read_until = greatest(c.read_until, excluded.read_until),"
            " longest_call_s = greatest(c.longest_call_s, excluded.longest_call_s),"
            " swept_at = greatest(c.swept_at, excluded.swept_at), updated_at = now()",
            server_id,
            lane,
            cursor.read_until,
            cursor.longest_call_s,
            cursor.swept_at,
            cursor.read_from,
        )

    async def accepted(self, record_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these records were accepted before."""
        rows = await self._pool.fetch(
            "select record_id from cdr_ingest.record where record_id = any($1)", record_ids
        )
        return {row["record_id"] for row in rows}

    async def accept(self, rows: Sequence[RecordRow]) -> None:
        """Keep that these records were accepted; those kept before stay as they are."""
        if not rows:
            return
        await self._pool.execute(
            "insert into cdr_ingest.record"
            " (record_id, server_id, tenant, source, disposition, reason, started_at)"
            " select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],"
            " $6::text[], $7::timestamptz[]) on conflict (record_id) do nothing",
            *(list(column) for column in zip(*rows, strict=True)),
        )
