"""The topics as they are on the brokers: how many records, how fast, and how far each reader is.

The offsets are read in the background, and shown from memory: no page waits for a broker. The
console is in no group and commits nothing.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from console.feed.broker_problem import broker_problem
from ringfence.kafka.access.acls import accesses
from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence.observe.health import Progress
from ringfence_contracts.topics import ALL_TOPICS, BY_NAME, PARTITIONS

log = structlog.get_logger()
_AT_REST_S = 60.0
_EVERY_S = 5.0
_WATCHED_S = 30.0
"""So long after a page asked, the offsets are read every `_EVERY_S` seconds; else each minute."""

_BOUND_S = 10.0
_RATE_OVER_S = 60.0
_MOST_OTHERS = 50
"""Consumer groups of other programs that are shown: each is a request at each look."""

_GROUPS = {access.login: access.groups for access in accesses()}
Offsets = Mapping[TopicPartition, int]


@dataclass(frozen=True)
class GroupLag:
    """How many records a consumer group has not read. `never`: it has committed no offset."""

    group: str
    behind: int
    never: bool = False


@dataclass(frozen=True)
class TopicState:
    """A topic as it was at the last look.

    `partitions`: those that have a leader; none: the topic is not on the brokers. `per_minute`:
    records written; None: not known yet. `groups` is None if the offsets of groups are not known.
    """

    name: str
    partitions: int
    records: int
    per_minute: float | None
    groups: Sequence[GroupLag] | None


@dataclass
class TopicWatch:
    """What the last look found. `problem` says in words why the last one found nothing.

    `groups_problem` says why it found no offsets of consumer groups.
    """

    states: Mapping[str, TopicState] = field(default_factory=dict)
    looked_at: float | None = None
    rate_over_s: int = 0
    problem: str = ""
    groups_problem: str = ""
    _asked: asyncio.Event = field(default_factory=asyncio.Event)
    _asked_at: float = float("-inf")

    @property
    def age_s(self) -> int | None:
        """Seconds since the last look that succeeded; None: there was none."""
        return None if self.looked_at is None else round(time.monotonic() - self.looked_at)

    def ask(self) -> None:
        """Somebody looks at the topics: keep them fresh for a while."""
        self._asked_at = time.monotonic()
        self._asked.set()

    async def pause(self) -> None:
        """Wait until the offsets are to be read again."""
        self._asked.clear()
        if time.monotonic() - self._asked_at < _WATCHED_S:
            await asyncio.sleep(_EVERY_S)
            return
        try:
            await asyncio.wait_for(self._asked.wait(), _AT_REST_S)
        except TimeoutError:
            return


class TopicLooks:
    """Looks at the offsets again and again, until `stop`; fills a TopicWatch."""

    def __init__(self, bootstrap: Bootstrap, watch: TopicWatch, progress: Progress) -> None:
        self._bootstrap = bootstrap
        self._watch = watch
        self._progress = progress
        self._ends: deque[tuple[float, Offsets]] = deque()

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set, which ends a look that is under way."""
        self._progress.pauses(_AT_REST_S + 2 * _BOUND_S)
        looking = asyncio.create_task(self._repeat())
        await stop.wait()
        looking.cancel()
        await asyncio.wait({looking})

    async def _repeat(self) -> None:
        while True:
            try:
                await self._connected()
            except Exception as error:  # the other pages go on, whatever the brokers answer
                log.warning("offsets cannot be read", reason=repr(error))
                self._watch.problem = await broker_problem(self._bootstrap, error)
            self._progress.turned()
            await self._watch.pause()

    async def _connected(self) -> None:
        """Look again and again by one connection. Raises what a look raises."""
        admin = AIOKafkaAdminClient(**client_arguments(self._bootstrap))
        consumer = AIOKafkaConsumer(**client_arguments(self._bootstrap), group_id=None)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(admin.close)
            stack.push_async_callback(consumer.stop)
            await asyncio.wait_for(admin.start(), _BOUND_S)
            await asyncio.wait_for(consumer.start(), _BOUND_S)
            while True:
                await asyncio.wait_for(self._look(consumer, admin), _BOUND_S)
                self._progress.turned()
                await self._watch.pause()

    async def _look(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> None:
        places = await _places(admin)
        begins, ends = await asyncio.gather(
            consumer.beginning_offsets(places), consumer.end_offsets(places)
        )
        now = time.monotonic()
        self._ends.append((now, ends))
        while len(self._ends) > 1 and now - self._ends[1][0] >= _RATE_OVER_S:
            self._ends.popleft()
        committed: Mapping[str, Offsets] | None = None
        problem = ""
        try:
            committed = await _committed_by_groups(admin, places[0]) if places else {}
        except KafkaError as error:
            problem = await broker_problem(self._bootstrap, error)
        watch, (then, before) = self._watch, self._ends[0]
        watch.states = {
            topic.name: _state(topic.name, begins, ends, (before, now - then), committed)
            for topic in ALL_TOPICS
        }
        watch.looked_at, watch.rate_over_s = now, round(now - then)
        watch.problem, watch.groups_problem = "", problem


async def _places(admin: AIOKafkaAdminClient) -> list[TopicPartition]:
    """The partitions that can be asked for: the client waits long for any other."""
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in await admin.describe_topics()
        if topic["topic"] in BY_NAME
        for partition in topic["partitions"]
        if partition["leader"] >= 0 and partition["partition"] < PARTITIONS
    ]


async def _committed_by_groups(
    admin: AIOKafkaAdminClient, probe: TopicPartition
) -> dict[str, Offsets]:
    """The next offset of each partition that a group has committed: ours, then of others.

    Ours are asked for by name: a list has only the groups that this login may see.
    """
    ours = sorted({group for groups in _GROUPS.values() for group in groups})
    others = sorted(
        name
        for name, kind, *_ in await admin.list_consumer_groups()
        if kind in ("", "consumer") and name not in ours
    )
    groups = [*ours, *others[:_MOST_OTHERS]]
    found = await asyncio.gather(*(_committed(admin, group, probe) for group in groups))
    return dict(zip(groups, found, strict=True))


async def _committed(admin: AIOKafkaAdminClient, group: str, probe: TopicPartition) -> Offsets:
    found = await admin.list_consumer_group_offsets(group)
    if not found and probe not in await admin.list_consumer_group_offsets(
        group, partitions=[probe]
    ):
        # aiokafka drops the error of a whole group; only then a partition has no answer.
        raise GroupCoordinatorNotAvailableError(f"the offsets of {group} cannot be read now")
    return {place: at.offset for place, at in found.items() if at.offset >= 0}


def _state(
    name: str,
    begins: Offsets,
    ends: Offsets,
    earlier: tuple[Offsets, float],
    committed: Mapping[str, Offsets] | None,
) -> TopicState:
    """What is known of a topic. `earlier`: offsets of before, and for how many seconds."""
    before, seconds = earlier
    places = [place for place in ends if place.topic == name]
    records = sum(ends[place] - begins[place] for place in places)
    written = sum(max(0, ends[place] - before.get(place, ends[place])) for place in places)
    return TopicState(
        name,
        len(places),
        records,
        60 * written / seconds if seconds else None,
        None if committed is None else _lags(name, places, begins, ends, committed),
    )


def _lags(
    name: str,
    places: Sequence[TopicPartition],
    begins: Offsets,
    ends: Offsets,
    committed: Mapping[str, Offsets],
) -> list[GroupLag]:
    """How far each group is that reads a topic. A reader begins at the oldest record."""

    def behind(at: Offsets) -> int:
        return sum(max(0, ends[p] - max(at.get(p, 0), begins[p])) for p in places)

    lags = [
        GroupLag(group, behind(at))
        for group, at in committed.items()
        if any(place in at for place in places)
    ]
    seen = {lag.group for lag in lags}
    lags += [
        GroupLag(reader, behind({}), never=True)
        for reader in BY_NAME[name].readers
        if seen.isdisjoint(_GROUPS[reader])
    ]
    return lags
