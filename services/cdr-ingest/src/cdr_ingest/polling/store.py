"""Outages of sources: each is told once when it begins and once when it ends."""

from datetime import datetime

from cdr_ingest import events
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Pool
from ringfence_contracts.events.source import SourceFailed, SourceRecovered


class OutageStore:
    """The table of outages, one row for each lane; written together with what is told of it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(self, event: SourceFailed) -> bool:
        """Keep and tell that an outage began; False, and nothing told, while one is on."""
        async with self._pool.acquire() as connection, connection.transaction():
            begun = await connection.fetchval(
                "insert into cdr_ingest.outage as o"
                " (server_id, lane, outage_id, reason, failures, failed_at)"
                " values ($1, $2, $3, $4, $5, $6) on conflict (server_id, lane) do update set"
                " outage_id = excluded.outage_id, reason = excluded.reason,"
                " failures = excluded.failures, failed_at = excluded.failed_at,"
                " recovered_at = null where o.recovered_at is not null returning true",
                event.server_id, event.lane, event.outage_id, event.reason, event.failures,
                event.failed_at,
            )  # fmt: skip
            if begun:
                await enqueue(connection, "cdr_ingest", [events.failed(event)])
            return bool(begun)

    async def end(self, server_id: str, lane: str, at: datetime) -> bool:
        """Keep and tell that the lane's outage is over; False if none was on."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "update cdr_ingest.outage set recovered_at = greatest($3, failed_at)"
                " where server_id = $1 and lane = $2 and recovered_at is null"
                " returning outage_id, server_id, lane, failed_at, recovered_at",
                server_id,
                lane,
                at,
            )
            if row:
                event = SourceRecovered(**dict(row))
                await enqueue(connection, "cdr_ingest", [events.recovered(event)])
            return row is not None
