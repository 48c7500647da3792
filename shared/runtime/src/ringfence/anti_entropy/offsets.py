"""Finds by its offsets that a database was set back to an earlier state (ADR 55).

A batch's effects are committed first, then its offsets in the same database, then those in Kafka.
So Kafka is ahead only if the database came back as it was earlier: by a restore, or by a
replica that had not yet everything.
"""

from collections.abc import Mapping

import structlog
from aiokafka import TopicPartition

from ringfence.anti_entropy.copies import set_back_alarm
from ringfence.anti_entropy.loop import RESTORED
from ringfence.anti_entropy.store_offsets import OffsetStore
from ringfence.clock import Clock
from ringfence.kafka.batch import PartitionState
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import Pool

log = structlog.get_logger()


class ConsumedOffsets:
    """The offsets of one group of a service, in the schema of the service's alarms."""

    def __init__(
        self, pool: Pool, alarms: Alarms, *, service: str, group: str, clock: Clock
    ) -> None:
        self._pool = pool
        self._store = OffsetStore(pool, alarms.schema, group=group)
        self._alarms = alarms
        self._service = service
        self._group = group
        self._clock = clock

    async def save(self, ends: Mapping[TopicPartition, int]) -> None:
        """Save the offsets behind a batch whose effects are committed; none is lowered."""
        await self._store.save(ends)

    async def start_points(
        self, states: Mapping[TopicPartition, PartitionState]
    ) -> dict[TopicPartition, int]:
        """Where to read from instead of the committed offsets; empty unless this was set back.

        Raises the alarm `restored` if it was. Deletes the offsets of a topic that was made again.
        Saves where a new partition begins: without it, one that is read for the first time after
        the state to which this database comes back would look like one that nobody read. What a
        version without these offsets committed, in a rolling upgrade or after a way back, is taken
        over.
        """
        found = await self._store.read()
        saved = {at: found[at] for at in states if at in found}
        if made_again := [at for at, offset in saved.items() if offset > states[at].end]:
            await self._store.delete(made_again)
        reached = {
            at: state.committed or state.begin
            for at, state in states.items()
            if at not in saved or not state.is_saved
        }
        if reached:
            await self.save(reached)
        back = {
            at: max(offset, states[at].begin)
            for at, offset in saved.items()
            if offset < (states[at].committed or 0) and states[at].is_saved
        }
        if back:
            await self._report(back, states, saved)
        return back

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
