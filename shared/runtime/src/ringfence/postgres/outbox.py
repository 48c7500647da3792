"""The transactional outbox, for events whose cause is no Kafka record.

1. A row is written in the transaction of the effect. A kill before its commit loses both.
2. The relay publishes the rows in their order. A kill after it leaves the rows in place.
3. The relay deletes the rows and commits. A kill before that publishes them again, with the same
   ids.
"""

import asyncio
from collections.abc import Sequence

import asyncpg

from ringfence.kafka.publisher import Publisher
from ringfence.loops import run_loop
from ringfence.observe.health import Progress
from ringfence.observe.metrics import OUTBOX
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.errors import Retry
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import BY_NAME

_BATCH = 500
_IDLE_S = 0.05


async def enqueue(connection: Connection, schema: str, events: Sequence[Outgoing]) -> None:
    """Write `events` to the schema's outbox, within the transaction of the effect."""
    await connection.executemany(
        f"insert into {schema}.outbox"  # noqa: S608 - a constant of the calling service
        " (topic, key, value, event_id, time, source, subject, correlation_id)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (
                e.topic.name,
                e.key,
                e.value,
                e.event_id,
                e.time,
                e.source,
                e.subject,
                e.correlation_id,
            )
            for e in events
        ],
    )


class OutboxRelay:
    """Publishes the rows of `<schema>.outbox`, oldest first; one replica relays at a time."""

    def __init__(
        self, pool: Pool, publisher: Publisher, *, schema: str, progress: Progress
    ) -> None:
        self._pool = pool
        self._publisher = publisher
        self._schema = schema
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop` is set; while Kafka or PostgreSQL fails, retry ever less often."""
        await run_loop(
            stop,
            self.relay_once,
            "outbox waits",
            progress=self._progress,
            every_s=_IDLE_S,
            full_batch=_BATCH,
            longest_pause_s=5.0,
        )

    async def relay_once(self) -> int:
        """Publish and delete up to 500 rows; returns how many. Raises Retry if a delivery fails."""
        async with self._pool.acquire() as connection, connection.transaction():
            # Only one replica relays at a time, so that events of a key keep their order.
            if not await connection.fetchval(
                "select pg_try_advisory_xact_lock(hashtext($1))", f"{self._schema}.outbox"
            ):
                return 0
            rows = await connection.fetch(
                f"select * from {self._schema}.outbox order by id limit {_BATCH}"  # noqa: S608
            )
            OUTBOX.labels(self._schema).set(len(rows))
            if not rows:
                return 0
            try:
                await self._publisher.publish([_as_outgoing(row) for row in rows])
            except ConnectionError as error:
                raise Retry(str(error)) from error
            await connection.execute(
                f"delete from {self._schema}.outbox where id = any($1)",  # noqa: S608
                [row["id"] for row in rows],
            )
            return len(rows)


def _as_outgoing(row: asyncpg.Record) -> Outgoing:
    return Outgoing(
        topic=BY_NAME[row["topic"]],
        key=row["key"],
        value=row["value"],
        event_id=row["event_id"],
        time=row["time"],
        source=row["source"],
        subject=row["subject"],
        correlation_id=row["correlation_id"],
    )
