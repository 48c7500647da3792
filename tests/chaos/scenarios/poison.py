"""Poison on every topic, while good calls flow: each bad record is a dead letter of each reader."""

import asyncio
import json
from collections import Counter

from aiokafka import AIOKafkaProducer

from ringfence_contracts.examples import examples_of
from ringfence_contracts.topics import ALL_TOPICS, PARTITIONS, SERVICE_SUSPENSION_FAILED, Topic
from ringfence_testing.wait import until
from tests.chaos.invariants import Leniency
from tests.chaos.readings import read_ledger, read_topics
from tests.chaos.scenarios.scenario import Done, Plan
from tests.chaos.town import ChaosTown
from tests.chaos.traffic import send
from tests.support.hostile import random_records

EACH = 60
"""Bad records of each topic: fewer than the limit, beyond which they go to a table."""

_FOR_CHANNELS = SERVICE_SUSPENSION_FAILED.dead_letters("notifier")
"""It reads that topic for webhooks and chats of the operator, and this town has none."""

_PARKED_S = 120


async def poison(town: ChaosTown, plan: Plan) -> Done:
    """All readers go on; none ends."""
    wave = await town.plan(plan.calls, each=plan.clients_each)
    before = {name: child.restart_count for name, child in town.stack.supervisor.children.items()}
    expected: Counter[str] = Counter()
    sending = asyncio.create_task(send(town, wave))
    try:
        for topic in ALL_TOPICS:
            if topic.readers:
                written = await _write(town, topic)
                expected.update({topic.dead_letters(reader): written for reader in topic.readers})
        del expected[_FOR_CHANNELS]
        await sending
    finally:
        sending.cancel()
    missing = expected

    async def all_parked() -> bool:
        nonlocal missing
        topics, _ = await read_topics(town.stack.bootstrap, {})
        missing = expected - Counter(letter.partition(":")[0] for letter in topics.dead_letters)
        return not missing

    try:
        await until(all_parked, timeout_s=_PARKED_S, every_s=2, what="all dead letters")
    except AssertionError as error:
        raise AssertionError(f"dead letters are missing: {dict(missing)}") from error
    ended = {
        name: child.restart_count - before[name]
        for name, child in town.stack.supervisor.children.items()
        if child.restart_count > before[name]
    }
    assert not ended, f"ended by a record: {ended}"
    return Done(
        before=await read_ledger(town.stack.dsn),
        leniency=Leniency(poison=True),
        notes=[f"{expected.total()} readings of bad records, each a dead letter; no service ended"],
    )


async def _write(town: ChaosTown, topic: Topic) -> int:
    """Write records that are none of the topic's contract; returns how many."""
    producer = AIOKafkaProducer(
        bootstrap_servers=town.stack.bootstrap, max_request_size=4 * 1024 * 1024
    )
    await producer.start()
    written = 0
    try:
        examples = examples_of(topic)
        while written < EACH:
            example = town.chance.choice(examples)
            [(value, headers)] = random_records(example.value, town.chance, 1)
            if _is_good(topic, value):
                continue
            key = town.chance.randbytes(9)
            await producer.send(
                topic.name, value or None, key=key, headers=list(headers),
                partition=written % PARTITIONS,
            )  # fmt: skip
            written += 1
        await producer.flush()
    finally:
        await producer.stop()
    return written


def _is_good(topic: Topic, value: bytes) -> bool:
    """Whether a record could be believed: then it is no poison, and may not be written.

    Readers skip fields that they do not know, however deep these are.
    """
    try:
        document = json.loads(value)
    except RecursionError:
        return value.startswith(b"{")
    except ValueError:
        return False
    if not isinstance(document, dict):
        return False
    known = {name: text for name, text in document.items() if name in topic.data.model_fields}
    try:
        topic.data.model_validate_json(json.dumps(known))
    except (ValueError, RecursionError):
        return False
    return True
