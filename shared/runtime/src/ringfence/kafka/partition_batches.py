"""Records to be sent, sorted into batches of one topic and partition each."""

from collections.abc import Callable, Iterator, Sequence

from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from ringfence_contracts.records import Header, Outgoing

_KEYS_REMEMBERED = 200_000


class Partitions:
    """Chooses the partition of a key as Kafka's own clients do (murmur2).

    `set_count` must be called for a topic before records are added to it.
    """

    def __init__(self) -> None:
        self._count: dict[str, int] = {}
        self._hash_of: dict[bytes, int] = {}

    def set_count(self, topic: str, count: int) -> None:
        """Record how many partitions a topic has."""
        self._count[topic] = count

    def count(self, topic: str) -> int:
        """How many partitions a topic has; 0 if that is not known yet."""
        return self._count.get(topic, 0)

    def hash_of(self, key: bytes) -> int:
        """The hash of a key, cached because it is slow in Python."""
        known = self._hash_of.get(key)
        if known is None:
            if len(self._hash_of) > _KEYS_REMEMBERED:
                self._hash_of.clear()
            known = self._hash_of[key] = murmur2(key) & 0x7FFFFFFF
        return known


class PartitionBatches:
    """The batches of every partition. Records of one key keep the order in which they are added."""

    def __init__(self, partitions: Partitions, new_batch: Callable[[], BatchBuilder]) -> None:
        self._partitions = partitions
        self._new_batch = new_batch
        self._batches: dict[str, dict[int, list[BatchBuilder]]] = {}
        self.added = 0

    def fill(self, events: Sequence[Outgoing], at_most: int) -> str | None:
        """Add at most `at_most` of `events`, from index `added` on.

        Stops before an event of a topic whose partition count is not known, and returns that topic;
        returns None otherwise.
        """
        for number in range(self.added, min(self.added + at_most, len(events))):
            event = events[number]
            topic, key = event.topic.name, event.key.encode()
            if not self.add(topic, key, event.value, event.headers()):
                return topic
        return None

    def add(self, topic: str, key: bytes, value: bytes, headers: Sequence[Header]) -> bool:
        """Add a record to its partition's batch; False if the partition count is not known."""
        count = self._partitions.count(topic)
        if not count:
            return False
        partition = self._partitions.hash_of(key) % count
        of_topic = self._batches.get(topic)
        if of_topic is None:
            of_topic = self._batches[topic] = {}
        batches = of_topic.get(partition)
        if batches is None:
            batches = of_topic[partition] = [self._new_batch()]
        if batches[-1].append(key=key, value=value, timestamp=None, headers=headers) is None:
            batches.append(self._new_batch())
            if batches[-1].append(key=key, value=value, timestamp=None, headers=headers) is None:
                raise ValueError(f"a record of {len(value)} bytes is too large for {topic}")
        self.added += 1
        return True

    def __iter__(self) -> Iterator[tuple[str, int, list[BatchBuilder]]]:
        """Topic, partition and batches, for each partition that has any."""
        for topic, of_topic in self._batches.items():
            for partition, batches in of_topic.items():
                yield topic, partition, batches
