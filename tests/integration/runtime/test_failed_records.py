"""No record stops a consumer, on a real broker and a real database, over real restarts.

The planted bug is in a handler of these tests: it raises at the records that the test names.
"""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ringfence.kafka.admin import create_topics
from ringfence.kafka.failures.keeper import FailureKeeper
from ringfence.kafka.failures.reject_limit import RejectLimit
from ringfence.kafka.failures.store import FailureStore
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Progress
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import open_pool
from ringfence_contracts.errors import EXIT_BUG
from ringfence_contracts.records import Outcome, Received, Rejected
from ringfence_contracts.topics import (
    BALANCE_RESTORED,
    CALL_RATED,
    DEAD_LETTER_BYTES,
    FLUSHED,
    NOTIFIER_ALARM,
)

TOPIC = BALANCE_RESTORED
SHELLS = ["BatchRunner", "GuardedAgents"]

WORKER = """
import asyncio, sys
from ringfence.kafka.agent import GuardedAgents
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.failures.keeper import keep_failures
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import open_publisher
from ringfence.loops import run_together
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import open_pool
from ringfence.process import run_service
from ringfence.settings import CommonSettings
from ringfence_contracts.records import Outcome
from ringfence_contracts.topics import BALANCE_RESTORED, NOTIFIER_ALARM

kind, bootstrap, dsn, group, key, last = sys.argv[1:]

async def main(health, stop):
    async def handle(batch):
        ours = [record for record in batch if record.key == key.encode()]
        if any(record.value.startswith(b"crash") for record in ours):
            raise KeyError("the planted bug")
        for record in ours:
            print(record.value.decode(), flush=True)
            if record.value == last.encode():
                stop.set()
        return Outcome()

    async with (
        await open_pool(dsn, service="notifier") as pool,
        open_publisher(bootstrap, source="notifier") as publisher,
    ):
        failures = keep_failures(
            pool, Alarms(NOTIFIER_ALARM, schema="notifier"), group=group,
            progress=health.loop("failures"))
        runner = {"BatchRunner": BatchRunner, "GuardedAgents": GuardedAgents}[kind](
            RecordProcessor(handle, publisher, consumer="notifier", failures=failures),
            (BALANCE_RESTORED,), bootstrap=bootstrap, group=group, progress=health.loop("test"))
        await run_together(stop, runner.run, failures.run)

run_service("test", CommonSettings(), main)
"""


async def write(bootstrap: str, key: str, values: Sequence[bytes]) -> None:
    """Write raw records of one key in their order."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(TOPIC.name, value, key=key.encode())
    finally:
        await producer.stop()


async def dead_letters(bootstrap: str, key: str, count: int) -> list[Any]:
    """The dead letters of a key, when there are `count` of them."""
    consumer = AIOKafkaConsumer(
        TOPIC.dead_letters("notifier"),
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        group_id=None,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    found: list[Any] = []
    try:
        async with asyncio.timeout(30):
            while len(found) < count:
                found += [r async for r in _polled(consumer) if r.key == key.encode()]
            return found
    finally:
        await consumer.stop()


async def _polled(consumer: AIOKafkaConsumer) -> AsyncIterator[Any]:
    for records in (await consumer.getmany(timeout_ms=500)).values():
        for record in records:
            yield record


@asynccontextmanager
async def failure_keeper(dsn: str, group: str, limit: int) -> AsyncIterator[FailureKeeper]:
    """What a new process has."""
    async with await open_pool(dsn, service="notifier") as pool:
        store = FailureStore(pool, Alarms(NOTIFIER_ALARM, schema="notifier"), consumer=group)
        yield FailureKeeper(store, progress=Progress("failures"), limit=RejectLimit(limit))


async def rows(dsn: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


def run_worker(kind: str, *arguments: str) -> tuple[int, list[str], list[dict[str, Any]]]:
    """Run a consumer until it ends: its status, the records that it handled, and its log."""
    ended = subprocess.run(
        [sys.executable, "-c", WORKER, kind, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    log = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    return ended.returncode, ended.stdout.split(), log


@pytest.mark.parametrize("kind", SHELLS)
async def test_a_record_that_ends_the_process_three_times_is_a_dead_letter_and_the_rest_goes_on(
    kind: str, kafka_bootstrap: str, database: str
) -> None:
    key, group = f"k{uuid.uuid4().hex}", f"g{uuid.uuid4().hex}"
    values = [b"good-0", b"good-1", b"crash-2", b"good-3", b"good-4"]
    await write(kafka_bootstrap, key, values)
    handled: set[str] = set()
    for number in range(1, 4):
        arguments = (kafka_bootstrap, database, group, key, "good-4")
        status, some, log = await asyncio.to_thread(run_worker, kind, *arguments)
        assert status == EXIT_BUG
        handled |= set(some)
        line = next(line for line in log if line["event"] == "a record ends the process")
        assert line["topic"] == TOPIC.name
        assert isinstance(line["partition"], int)
        assert line["offset"] <= line["last_offset"]
        [crash] = await rows(
            database,
            f"select * from notifier.crash where consumer = '{group}'"
            f" and partition = {line['partition']}",
        )
        assert crash["crashes"] == number
    assert handled == {"good-0", "good-1"}, "what is before it is processed by itself"
    assert crash["first_offset"] == crash["last_offset"]
    status, some, _ = await asyncio.to_thread(run_worker, kind, *arguments)
    assert (status, some[-2:]) == (0, ["good-3", "good-4"])
    [dead] = await dead_letters(kafka_bootstrap, key, 1)
    headers = dict(dead.headers)
    assert dead.value == b"crash-2"
    assert b"ended the process 3 times" in headers["dlq_reason"]
    assert b"the planted bug" in headers["dlq_traceback"]
    assert int(headers["dlq_offset"]) == crash["first_offset"]
    [alarm] = await rows(database, "select * from report.alarm where key = 'record-crashed'")
    assert alarm["severity"] == "critical"
    assert alarm["subject"] == f"{TOPIC.name}/{crash['partition']}/{crash['first_offset']}"
    assert await rows(database, "select 1 from notifier.crash where crashes > 2") == []


async def test_beyond_the_limit_bad_records_are_in_the_table_under_one_alarm(
    kafka_bootstrap: str, database: str
) -> None:
    """As one client's PBX that posts nonsense: its good records and all others are not affected."""
    group, seen = f"g{uuid.uuid4().hex}", list[int]()

    async def handle(batch: Sequence[Received]) -> Outcome:
        bad = [r for r in batch if r.value == b"bad"]
        seen.extend(r.offset for r in batch if r.value != b"bad")
        return Outcome(reject=[Rejected(r, "no good: got '\x00'") for r in bad])

    key = uuid.uuid4().hex
    batch = [
        Received(TOPIC.name, 1, n, key.encode(), b"good" if n % 10 == 9 else b"bad", (("h", None),))
        for n in range(1000)
    ]
    async with (
        open_publisher(kafka_bootstrap, source="notifier") as publisher,
        failure_keeper(database, group, limit=500) as failures,
    ):
        processor = RecordProcessor(handle, publisher, consumer="notifier", failures=failures)
        for start in range(0, 1000, 100):
            await processor.process(batch[start : start + 100])
        await processor.process(batch[-100:])  # delivered again
    assert seen[:100] == list(range(9, 1000, 10))
    assert len(await dead_letters(kafka_bootstrap, key, 500)) == 500
    [counted] = await rows(
        database, "select count(*), min(reason), max(source) from report.rejected_record"
    )
    assert tuple(counted) == (400, "no good: got '\ufffd'", key)
    alarms = await rows(database, "select * from report.alarm where key = 'records-rejected'")
    assert [(a["subject"], a["account_id"]) for a in alarms] == [(key, key)]
    assert await rows(database, "select * from notifier.outbox") != []


async def test_the_alarm_ends_when_the_source_is_quiet(kafka_bootstrap: str, database: str) -> None:
    group = f"g{uuid.uuid4().hex}"
    bad = [Rejected(Received(TOPIC.name, 1, n, b"acme", b"bad"), "no good") for n in range(3)]
    async with failure_keeper(database, group, limit=0) as failures:
        await failures.save(failures.over_limit(bad))
        await failures.tidy()
        assert len(await rows(database, "select from report.alarm where ended_at is null")) == 1
        await rows(database, "update notifier.reject_source set last_at = '2026-01-01'")
        await failures.tidy()
    assert await rows(database, "select from report.alarm where ended_at is null") == []
    assert len(await rows(database, "select from report.rejected_record")) == 3


async def test_a_record_near_the_limit_of_its_topic_is_a_whole_dead_letter(
    kafka_bootstrap: str, database: str
) -> None:
    key = uuid.uuid4().hex
    value = uuid.uuid4().bytes * (1024 * 1024 // 16)
    received = Received(TOPIC.name, 1, 7, key.encode(), value, (("h", b"x" * 20_000),))
    async with open_publisher(kafka_bootstrap, source="notifier") as publisher:
        await publisher.park([Rejected(received, "no good")], "notifier")
    [dead] = await dead_letters(kafka_bootstrap, key, 1)
    assert dead.value == value
    assert dict(dead.headers)["h"] == b"x" * 20_000


async def test_a_record_that_does_not_fit_is_a_cut_dead_letter(kafka_bootstrap: str) -> None:
    """Also random bytes, which no compression makes smaller."""
    key = uuid.uuid4().hex
    value = b"".join(uuid.uuid4().bytes for _ in range(200_000))
    received = Received(TOPIC.name, 1, 7, key.encode(), value)
    async with open_publisher(kafka_bootstrap, source="notifier") as publisher:
        await publisher.park([Rejected(received, "no good")], "notifier")
    [dead] = await dead_letters(kafka_bootstrap, key, 1)
    headers = dict(dead.headers)
    assert value.startswith(dead.value)
    assert len(dead.value) > 1_900_000
    assert (headers["dlq_truncated"], headers["dlq_offset"]) == (str(len(value)).encode(), b"7")


ODD_NAMES = """
import asyncio, os, sys
os.environ["AIOKAFKA_NO_EXTENSIONS"] = "1"  # the writer in C takes only names in UTF-8
from aiokafka import AIOKafkaProducer

class Name(str):
    def encode(self, *_):
        return b"\\xff\\xfe"

async def main(bootstrap, topic, key):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for number in range(3):
        headers = [(Name("odd"), b"1")] if number == 1 else []
        await producer.send_and_wait(
            topic, b"good-%d" % number, key=key.encode(), headers=headers)
    await producer.stop()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", SHELLS)
async def test_a_header_name_that_is_not_utf_8_stops_no_consumer(
    kind: str, kafka_bootstrap: str, database: str
) -> None:
    """aiokafka cannot read such a record: it would raise at every poll."""
    key, group = f"k{uuid.uuid4().hex}", f"g{uuid.uuid4().hex}"
    program = [sys.executable, "-c", ODD_NAMES, kafka_bootstrap, TOPIC.name, key]
    await asyncio.to_thread(subprocess.run, program, timeout=60, check=True)
    arguments = (kafka_bootstrap, database, group, key, "good-2")
    status, some, _ = await asyncio.to_thread(run_worker, kind, *arguments)
    assert (status, some) == (0, ["good-0", "good-1", "good-2"])


async def test_the_instant_of_an_alarm_is_that_of_its_record(database: str) -> None:
    """So that the operator sees when it began."""
    async with failure_keeper(database, "g", limit=0) as failures:
        dead = Rejected(Received(TOPIC.name, 1, 1, b"acme", b"bad"), "no good")
        await failures.save([dead])
    [alarm] = await rows(database, "select * from report.alarm")
    assert abs((datetime.now(UTC) - alarm["raised_at"]).total_seconds()) < 60


async def test_dead_letter_topics_of_an_earlier_release_take_larger_records(
    kafka_bootstrap: str,
) -> None:
    """Their other settings stay."""
    topic = TOPIC.dead_letters("suspender")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        as_before = {"retention.ms": "86400000", "max.message.bytes": "1048588"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, as_before)])
        await create_topics(kafka_bootstrap)
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        found = {entry[0]: entry[1] for entry in answer.resources[0][4]}
        assert found["max.message.bytes"] == str(DEAD_LETTER_BYTES)
        assert found["retention.ms"] == "86400000"
    finally:
        await admin.close()


async def test_a_broker_without_copies_flushes_what_decides_who_is_off(
    own_kafka_bootstrap: str,
) -> None:
    """Also topics of an earlier release; not where a record has copies, nor the calls."""
    admin = AIOKafkaAdminClient(bootstrap_servers=own_kafka_bootstrap)
    await admin.start()
    try:
        topics = [ConfigResource(ConfigResourceType.TOPIC, t) for t in (*FLUSHED, CALL_RATED.name)]

        async def flushed() -> dict[str, bool]:
            answers = await admin.describe_configs(topics)
            return {
                resource[3]: any((e[0], e[1]) == ("flush.messages", "1") for e in resource[4])
                for answer in answers
                for resource in answer.resources
            }

        assert await flushed() == dict.fromkeys(FLUSHED, True) | {CALL_RATED.name: False}
        plain = ConfigResource(ConfigResourceType.TOPIC, FLUSHED[0], {"retention.ms": "86400000"})
        await admin.alter_configs([plain])
        await create_topics(own_kafka_bootstrap, replication=3)
        assert not (await flushed())[FLUSHED[0]]
        await create_topics(own_kafka_bootstrap)
        assert (await flushed())[FLUSHED[0]]
    finally:
        await admin.close()
