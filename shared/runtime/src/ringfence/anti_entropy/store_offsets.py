"""How far a consumer group has read, stored in the database that has the effects (ADR 55).

A batch's effects are committed first, then these offsets, then those in Kafka. So Kafka is ahead of
this table only if the database was set back to an earlier state: by a restore, or by a stand-by
that had not yet everything.
"""

from collections.abc import Mapping

import structlog
from aiokafka import TopicPartition

from ringfence.anti_entropy.copies import set_back_alarm
from ringfence.anti_entropy.loop import RESTORED
from ringfence.clock import Clock
from ringfence.kafka.batch import PartitionState
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import Pool

log = structlog.get_logger()


class ConsumedOffsets:
    """The rows of one group in `<schema>.consumed_offset`; the alarms say the schema."""

    def __init__(
        self, pool: Pool, alarms: Alarms, *, service: str, group: str, clock: Clock
    ) -> None:
        self._pool = pool
        self._alarms = alarms
        self._table = f"{alarms.schema}.consumed_offset"
        self._service = service
        self._group = group
        self._clock = clock

    async def save(self, ends: Mapping[TopicPartition, int]) -> None:
        """Save the offsets behind a batch whose effects are committed; none is lowered."""
        await self._pool.execute(
            f"insert into {self._table} as c (consumer_group, topic, partition, next_offset)"  # noqa: S608 - a constant of the owner
            " select $1, * from unnest($2::text[], $3::int[], $4::bigint[])"
            " on conflict (consumer_group, topic, partition) do update"
            " set next_offset = excluded.next_offset where c.next_offset < excluded.next_offset",
            self._group,
            [at.topic for at in ends],
            [at.partition for at in ends],
            list(ends.values()),
        )

    async def start_points(
        self, states: Mapping[TopicPartition, PartitionState]
    ) -> dict[TopicPartition, int]:
        """Where to read from instead of the committed offsets; empty unless this was set back.

        Raises the alarm `restored` if it was. Forgets the offsets of a topic that was made anew.
        Saves where a new partition begins: without it, one that is read for the first time after
        the state to which this database comes back could not be told from one that nobody read.
        """
        saved = await self._read(states)
        anew = [at for at, offset in saved.items() if offset > states[at].end]
        if anew:
            await self._delete(anew)
        new = states.keys() - saved.keys()
        if new:
            begins = {at: states[at].committed or states[at].begin for at in new}
            await self.save(begins)
        back = {
            at: max(saved[at], states[at].begin)
            for at, state in states.items()
            if at in saved and state.committed is not None and saved[at] < state.committed
        }
        if back:
            await self._report(back, states, saved)
        return back

    async def _read(self, assigned: Mapping[TopicPartition, object]) -> dict[TopicPartition, int]:
        rows = await self._pool.fetch(
            f"select topic, partition, next_offset from {self._table} where consumer_group = $1",  # noqa: S608
            self._group,
        )
        found = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        return {at: offset for at, offset in found.items() if at in assigned}

    async def _delete(self, partitions: list[TopicPartition]) -> None:
        await self._pool.execute(
            f"delete from {self._table} where consumer_group = $1"  # noqa: S608
            " and (topic, partition) in (select * from unnest($2::text[], $3::int[]))",
            self._group,
            [at.topic for at in partitions],
            [at.partition for at in partitions],
        )

    async def _report(
        self,
        back: Mapping[TopicPartition, int],
        states: Mapping[TopicPartition, PartitionState],
        saved: Mapping[TopicPartition, int],
    ) -> None:
        again = sum((states[at].committed or 0) - offset for at, offset in back.items())
        gone = sum(offset - saved[at] for at, offset in back.items())
        topics = sorted({at.topic for at in back})
        log.warning(
            "the database was set back: reading again",
            group=self._group,
            topics=topics,
            records=again,
            gone=gone,
        )
        text = set_back_alarm(self._service, topics, again, gone)
        async with self._pool.acquire() as connection, connection.transaction():
            await self._alarms.raise_alarm(
                connection, RESTORED, self._service, text, self._clock.now()
            )
