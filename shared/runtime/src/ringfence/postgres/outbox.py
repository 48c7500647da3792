"""The transactional outbox: events of writes that no record causes.

A row is written in the same transaction as the effect; the relay publishes rows in their order
and deletes each after its delivery. A crash between the two publishes it again, with the same id.
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
    """Write `events` into the schema's outbox; call it inside the effect's transaction."""
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
    """Publishes what stands in `<schema>.outbox`, oldest first, one relay at a time."""

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
        """Publish and delete one batch of rows; how many. Raises Retry when the broker did not."""
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
