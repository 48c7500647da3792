"""The newest events of one topic, decoded as far as they can be; bounded however big it is."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from console.feed.decoded import DecodedEvent, decode
from console.web.formats import Formats
from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence_contracts.topics import PARTITIONS, Topic

SHOWN = 20
"""Events that are shown; of each partition so many are read: any of the newest may be in one."""

_READ_S = 3.0
_BOUND_S = 8.0
_PAGE_WAITS_S = 1.5
_FRESH_S = 2.0
"""What was read so long ago is shown again to all who ask."""

_MOST_BYTES = 128 * 1024
"""Fetched of a partition at once; a larger record is fetched alone."""

_AT_ONCE = 2


@dataclass(frozen=True)
class NewestEvents:
    """The newest events of a topic, the newest first; not all of them unless `complete`."""

    events: Sequence[DecodedEvent]
    complete: bool


class TopicTail:
    """Reads the end of a topic, in no group; at most two topics at once."""

    def __init__(self, bootstrap: Bootstrap, formats: Formats) -> None:
        self.bootstrap = bootstrap
        self._formats = formats
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._reading: dict[str, asyncio.Task[NewestEvents]] = {}
        self._read_at: dict[str, float] = {}

    async def newest(self, topic: Topic) -> NewestEvents:
        """The newest events, as far as the brokers give them soon.

        Raises TimeoutError if they take long: the reading goes on, and what it found is the answer
        to a later call. Raises KafkaError and OSError.
        """
        reading = self._reading.get(topic.name)
        if reading is None or (reading.done() and not self._is_fresh(topic)):
            reading = self._reading[topic.name] = asyncio.create_task(self._read(topic))
            reading.add_done_callback(_retrieve)  # a failure may come when no page waits for it
        done, _ = await asyncio.wait({reading}, timeout=_PAGE_WAITS_S)
        if not done:
            raise TimeoutError
        return reading.result()

    async def close(self) -> None:
        """End what is being read."""
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_fresh(self, topic: Topic) -> bool:
        return time.monotonic() - self._read_at.get(topic.name, float("-inf")) < _FRESH_S

    async def _read(self, topic: Topic) -> NewestEvents:
        async with self._turn:
            found = await asyncio.wait_for(self._events(topic), _BOUND_S)
        self._read_at[topic.name] = time.monotonic()
        return found

    async def _events(self, topic: Topic) -> NewestEvents:
        consumer = AIOKafkaConsumer(
            **client_arguments(self.bootstrap),
            group_id=None,
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=_MOST_BYTES,
        )
        places = [TopicPartition(topic.name, n) for n in range(PARTITIONS)]
        try:
            await consumer.start()
            if topic.name not in await consumer.topics():
                return NewestEvents([], complete=True)
            consumer.assign(places)
            begins, ends = await asyncio.gather(
                consumer.beginning_offsets(places), consumer.end_offsets(places)
            )
            for place in places:
                consumer.seek(place, max(begins[place], ends[place] - SHOWN))
            left = {place for place in places if ends[place] > begins[place]}
            events = await self._read_until(consumer, topic, left, ends)
        finally:
            await consumer.stop()
        events.sort(key=lambda event: (event.at, event.offset), reverse=True)
        return NewestEvents(events[:SHOWN], complete=not left)

    async def _read_until(
        self,
        consumer: AIOKafkaConsumer,
        topic: Topic,
        left: set[TopicPartition],
        ends: dict[TopicPartition, int],
    ) -> list[DecodedEvent]:
        """The events up to the ends; takes the partitions that were read to it out of `left`."""
        found: list[DecodedEvent] = []
        deadline = time.monotonic() + _READ_S
        while left and time.monotonic() < deadline:
            got = await consumer.getmany(timeout_ms=200, max_records=SHOWN)
            for place, records in got.items():
                found += [
                    decode(record, topic, self._formats)
                    for record in records
                    if record.offset < ends[place]
                ]
            # A position passes over records that compaction took out.
            left -= {place for place in left if await consumer.position(place) >= ends[place]}
        return found


def _retrieve(task: asyncio.Task[NewestEvents]) -> None:
    if not task.cancelled():
        task.exception()
