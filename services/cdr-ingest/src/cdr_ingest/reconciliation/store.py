"""What sources listed, hour by hour, against what had come: its table."""

from cdr_ingest import events
from cdr_ingest.reconciliation.hours import HourCount, as_instant
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.events.source import SourceGapFound


class ReconcileStore:
    """One row for each server, lane and hour of call starts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def checked(self, server_id: str, lane: str, since: int) -> dict[int, int | None]:
        """The hours (Unix seconds) from `since` on that were counted, and when; None: not to the
        end."""
        rows = await self._pool.fetch(
            "select extract(epoch from hour)::bigint as hour,"
            " floor(extract(epoch from checked_at))::bigint as checked_at"
            " from cdr_ingest.reconciled where server_id = $1 and lane = $2 and hour >= $3",
            server_id,
            lane,
            as_instant(since),
        )
        return {row["hour"]: row["checked_at"] for row in rows}

    async def found_gap(self, event: SourceGapFound) -> None:
        """Keep and tell a gap, before it is closed; told again with the same id if repeated."""
        count = HourCount(event.listed, event.ingested)
        hour = int(event.hour.timestamp())
        async with self._pool.acquire() as connection, connection.transaction():
            await _keep(connection, event.server_id, event.lane, hour, count)
            await enqueue(connection, "cdr_ingest", [events.gap_found(event)])

    async def settle(
        self, server_id: str, lane: str, hour: int, count: HourCount, *, healed: int, at: int | None
    ) -> None:
        """Keep a count and how many calls it brought; `at` is when it was complete, if it was."""
        async with self._pool.acquire() as connection, connection.transaction():
            await _keep(connection, server_id, lane, hour, count)
            await connection.execute(
                "update cdr_ingest.reconciled set healed = healed + $4,"
                " checked_at = coalesce($5, checked_at)"
                " where server_id = $1 and lane = $2 and hour = $3",
                server_id,
                lane,
                as_instant(hour),
                healed,
                as_instant(at) if at is not None else None,
            )


async def _keep(
    connection: Connection, server_id: str, lane: str, hour: int, count: HourCount
) -> None:
    """Of the known calls, those that reconciliation brought earlier did not come by themselves."""
    await connection.execute(
        "insert into cdr_ingest.reconciled as r (server_id, lane, hour, listed, ingested)"
        " values ($1, $2, $3, $4, $5) on conflict (server_id, lane, hour) do update set"
        " listed = excluded.listed, ingested = greatest(0, excluded.ingested - r.healed)",
        server_id,
        lane,
        as_instant(hour),
        count.listed,
        count.ingested,
    )
