"""The table `unconfirmed_row`: rows that wait until their source confirms them."""

from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime
from uuid import UUID

from cdr_ingest.confirmation.unconfirmed import UnconfirmedRow, call_unconfirmed, next_attempt
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Pool

MAX_DUE = 100
_FIELDS = (
    "row_id, server_id, lane, tenant, source_call_id, reason, detail, billsec, started_at,"
    " row_text, seen_at, attempts"
)
_DUE = f"""
select {_FIELDS} from cdr_ingest.unconfirmed_row u
where server_id = $1 and lane = $2 and confirmed_at is null and (
    next_attempt_at <= $3
    or exists (
        select from report.row_requested r
        where r.row_id = u.row_id and r.requested_at > u.asked_at
    )
)
order by next_attempt_at limit $4
"""  # noqa: S608 - constants


class UnconfirmedStore:
    """The rows that wait. Each change is written together with its event."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def known_ids(self, row_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the rows that were saved before, confirmed ones included."""
        rows = await self._pool.fetch(
            "select row_id from cdr_ingest.unconfirmed_row where row_id = any($1)", row_ids
        )
        return {row["row_id"] for row in rows}

    async def save(self, rows: Sequence[UnconfirmedRow]) -> None:
        """Save and publish rows that are new."""
        if not rows:
            return
        async with self._pool.acquire() as connection, connection.transaction():
            for row in rows:
                is_new = await connection.fetchval(
                    f"insert into cdr_ingest.unconfirmed_row ({_FIELDS}, asked_at,"  # noqa: S608
                    " next_attempt_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
                    " $13, $14) on conflict (row_id) do nothing returning true",
                    *astuple(row),
                    row.seen_at,
                    next_attempt(row.attempts, row.seen_at),
                )
                if is_new:
                    await enqueue(connection, "cdr_ingest", [call_unconfirmed(row, row.seen_at)])

    async def due(self, server_id: str, lane: str, now: datetime) -> list[UnconfirmedRow]:
        """Rows of a feed that are to be asked for again, by their time or by an operator."""
        rows = await self._pool.fetch(_DUE, server_id, lane, now, MAX_DUE)
        return [UnconfirmedRow(**dict(row)) for row in rows]

    async def keep_waiting(self, row: UnconfirmedRow, now: datetime) -> None:
        """Save and publish another attempt that did not confirm the row."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "update cdr_ingest.unconfirmed_row set attempts = $2, asked_at = $3,"
                " next_attempt_at = $4, reason = $5, detail = $6 where row_id = $1",
                row.row_id,
                row.attempts,
                now,
                next_attempt(row.attempts, now),
                row.reason,
                row.detail,
            )
            await enqueue(connection, "cdr_ingest", [call_unconfirmed(row, now)])

    async def confirm(self, row: UnconfirmedRow, call_id: UUID, now: datetime) -> None:
        """Save and publish that the call of the row was ingested under `call_id`."""
        async with self._pool.acquire() as connection, connection.transaction():
            confirmed = await connection.fetchval(
                "update cdr_ingest.unconfirmed_row set confirmed_at = $2, call_id = $3,"
                " asked_at = $2, next_attempt_at = null"
                " where row_id = $1 and confirmed_at is null returning true",
                row.row_id,
                now,
                call_id,
            )
            if confirmed:
                await enqueue(connection, "cdr_ingest", [call_unconfirmed(row, now, call_id)])
