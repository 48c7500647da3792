"""Creates the topics, with their partitions and retention, before anything uses them."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, KafkaTimeoutError, TopicAlreadyExistsError, for_code

from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence.kafka.clients import start_client
from ringfence_contracts.errors import RingfenceError
from ringfence_contracts.topics import (
    DEAD_LETTER_BYTES,
    FLUSHED,
    PARTITIONS,
    dead_letter_topics,
    topic_configs,
)

_SIZE = "max.message.bytes"
_FLUSH = "flush.messages"
_SET_ON_TOPIC = 1  # Kafka's ConfigSource DYNAMIC_TOPIC_CONFIG
log = structlog.get_logger()

_VISIBLE_BOUND_S = 120.0
_LOOK_EVERY_S = 0.05


class TopicsDiffer(RingfenceError):
    """A topic has another number of partitions than it must have, or could not be created."""


async def create_topics(bootstrap: Bootstrap, replication: int = 1) -> list[str]:
    """Create each topic of `ringfence_contracts.topics` that the broker lacks; returns their names.

    Idempotent. Returns when every topic has a leader for all its partitions, so that the first
    record can be written. `replication` is the number of copies: 3 in a cluster. Raises
    TopicsDiffer when a topic exists with another number of partitions (account-keyed topics must
    have the same number, or a replica would not own whole accounts), and KafkaError when no broker
    answers.
    """
    admin = AIOKafkaAdminClient(**client_arguments(bootstrap), request_timeout_ms=30_000)
    await admin.start()
    try:
        present = await _partitions(admin)
        needed = _needed(replication)
        missing = {
            name: configs | needed.get(name, {})
            for name, configs in topic_configs().items()
            if name not in present
        }
        if missing:
            await _create(admin, missing, replication)
        await _until_usable(admin)
        await _adjust(admin, {name: c for name, c in needed.items() if name not in missing})
        await _until_served(bootstrap)
        return sorted(missing)
    finally:
        await admin.close()


async def _create(
    admin: AIOKafkaAdminClient, topics: Mapping[str, dict[str, str]], replication: int
) -> None:
    answer = await admin.create_topics(
        [
            NewTopic(name, PARTITIONS, replication, topic_configs=configs)
            for name, configs in topics.items()
        ]
    )
    for name, code, *reason in answer.topic_errors:
        # Another process created it at the same time: the topic exists, which is enough.
        if code not in (0, TopicAlreadyExistsError.errno):
            error: KafkaError = for_code(code)(f"topic {name}: {reason}")
            raise TopicsDiffer(f"topic {name} could not be made: {error!r}") from error


def _needed(replication: int) -> dict[str, dict[str, str]]:
    """What topics of an earlier release may lack: large dead letters, and the flush."""
    needed = {name: {_SIZE: str(DEAD_LETTER_BYTES)} for name in dead_letter_topics()}
    if replication == 1:
        needed |= {name: {_FLUSH: "1"} for name in FLUSHED}
    return needed


async def _adjust(admin: AIOKafkaAdminClient, needed: Mapping[str, Mapping[str, str]]) -> None:
    """Give existing topics what they lack of `needed`, by topic; their other settings stay.

    Where the brokers refuse it, dead letters are cut instead.
    """
    if not needed:
        return
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in needed]
    changed = []
    for answer in await admin.describe_configs(asked):
        for code, _, _, name, entries in answer.resources:
            own = {e[0]: e[1] for e in entries if _is_set_on_topic(e)}
            lacking = {key: text for key, text in needed[name].items() if not _has(own, key)}
            if code == 0 and lacking:
                changed.append(ConfigResource(ConfigResourceType.TOPIC, name, own | lacking))
    for answer in await admin.alter_configs(changed) if changed else ():
        for code, reason, *_ in answer.resources:
            if code:
                log.warning("topics keep their settings", reason=reason)


def _has(own: Mapping[str, str], key: str) -> bool:
    """Whether a topic has what it needs: a larger size, or its operator's own choice to flush."""
    return key in own and (key != _SIZE or int(own[key]) >= DEAD_LETTER_BYTES)


def _is_set_on_topic(entry: Sequence[Any]) -> bool:
    """Whether a config entry (name, value, read only, source, …) was set on the topic itself."""
    return bool(entry[3] == _SET_ON_TOPIC)


async def _until_usable(admin: AIOKafkaAdminClient) -> None:
    """Wait until every topic has a leader for each of its partitions."""
    for _ in range(round(_VISIBLE_BOUND_S / _LOOK_EVERY_S)):
        if _usable(await _partitions(admin)):
            return
        await asyncio.sleep(_LOOK_EVERY_S)
    raise TopicsDiffer(f"topics without leaders after {_VISIBLE_BOUND_S:.0f} s")


async def _until_served(bootstrap: Bootstrap) -> None:
    """Wait until the leader of every partition serves requests.

    A new broker lists leaders before they serve: under load it refuses records for some seconds.
    """
    partitions = [TopicPartition(t, n) for t in topic_configs() for n in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(*topic_configs(), **client_arguments(bootstrap))
    await start_client(consumer)
    try:
        with _expected_refusals():
            await asyncio.wait_for(_end_offsets(consumer, partitions), _VISIBLE_BOUND_S)
    except TimeoutError:
        raise TopicsDiffer(f"partitions not served after {_VISIBLE_BOUND_S:.0f} s") from None
    finally:
        await consumer.stop()


async def _end_offsets(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
    """Request the end offsets from all leaders, again after a time-out of the client."""
    while True:
        try:
            await consumer.end_offsets(partitions)
            return
        except KafkaTimeoutError:
            await asyncio.sleep(_LOOK_EVERY_S)


@contextmanager
def _expected_refusals() -> Iterator[None]:
    """Silence the client's error for each refusal: refusals are expected while this waits."""
    fetcher = logging.getLogger("aiokafka.consumer.fetcher")
    level = fetcher.level
    fetcher.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        fetcher.setLevel(level)


def _usable(present: Mapping[str, list[int]]) -> bool:
    for name in topic_configs():
        leaders = present.get(name, [])
        if leaders and len(leaders) != PARTITIONS:
            raise TopicsDiffer(f"topic {name} has {len(leaders)} partitions, not {PARTITIONS}")
        if not leaders or -1 in leaders:
            return False
    return True


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, list[int]]:
    """Each existing topic, with the leader of each of its partitions (-1: none yet)."""
    return {
        topic["topic"]: [partition["leader"] for partition in topic["partitions"]]
        for topic in await admin.describe_topics()
    }
