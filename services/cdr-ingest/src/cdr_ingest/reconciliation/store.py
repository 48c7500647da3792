"""The table of counted hours: calls listed by a source, against calls ingested from it."""

from cdr_ingest import events
from cdr_ingest.reconciliation.hours import HourCount, as_instant
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.events.source import SourceGapFound


class ReconcileStore:
    """One row for each server, feed and hour of call starts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def checked_hours(self, server_id: str, feed: str, since: int) -> dict[int, int | None]:
        """The hours from `since` on that were counted, and when (all in Unix seconds).

        The time is None where the count was not finished.
        """
        rows = await self._pool.fetch(
            "select extract(epoch from hour)::bigint as hour,"
            " floor(extract(epoch from checked_at))::bigint as checked_at"
            " from cdr_ingest.reconciled where server_id = $1 and lane = $2 and hour >= $3",
            server_id,
            feed,
            as_instant(since),
        )
        return {row["hour"]: row["checked_at"] for row in rows}

    async def record_gap(self, event: SourceGapFound) -> None:
        """Save and publish a gap before it is closed. A repeated gap has the same event id."""
        count = HourCount(event.listed, event.ingested)
        hour = int(event.hour.timestamp())
        async with self._pool.acquire() as connection, connection.transaction():
            await _save(connection, event.server_id, event.lane, hour, count)
            await enqueue(connection, "cdr_ingest", [events.gap_found(event)])

    async def save_count(
        self,
        server_id: str,
        feed: str,
        hour: int,
        count: HourCount,
        *,
        healed: int,
        at: int | None,
    ) -> None:
        """Save a count and the number of calls that it brought (`healed`).

        `at` is the time of the count in Unix seconds; None if the count is not finished.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await _save(connection, server_id, feed, hour, count)
            await connection.execute(
                "update cdr_ingest.reconciled set healed = healed + $4,"
                " checked_at = coalesce($5, checked_at)"
                " where server_id = $1 and lane = $2 and hour = $3",
                server_id,
                feed,
                as_instant(hour),
                healed,
                as_instant(at) if at is not None else None,
            )


async def _save(
    connection: Connection, server_id: str, feed: str, hour: int, count: HourCount
) -> None:
    """`ingested` excludes the calls that an earlier count of the hour brought (`healed`)."""
    await connection.execute(
        "insert into cdr_ingest.reconciled as r (server_id, lane, hour, listed, ingested)"
        " values ($1, $2, $3, $4, $5) on conflict (server_id, lane, hour) do update set"
        " listed = excluded.listed, ingested = greatest(0, excluded.ingested - r.healed)",
        server_id,
        feed,
        as_instant(hour),
        count.listed,
        count.ingested,
    )
