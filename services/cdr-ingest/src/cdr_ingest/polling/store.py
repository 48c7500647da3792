"""The table of outages. An outage is published once when it begins and once when it ends."""

from datetime import datetime

from cdr_ingest import events
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Pool
from ringfence_contracts.events.source import SourceFailed, SourceRecovered


class OutageStore:
    """One row for each feed. A row and the event about it are written in one transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(self, event: SourceFailed) -> bool:
        """Save and publish the beginning of an outage; False if one is already open."""
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
                await enqueue(connection, "cdr_ingest", [events.source_failed(event)])
            return bool(begun)

    async def end(self, server_id: str, feed: str, at: datetime) -> bool:
        """Save and publish the end of the feed's outage; False if none is open."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "update cdr_ingest.outage set recovered_at = greatest($3, failed_at)"
                " where server_id = $1 and lane = $2 and recovered_at is null"
                " returning outage_id, server_id, lane, failed_at, recovered_at",
                server_id,
                feed,
                at,
            )
            if row:
                event = SourceRecovered(**dict(row))
                await enqueue(connection, "cdr_ingest", [events.source_recovered(event)])
            return row is not None
