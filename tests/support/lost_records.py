"""Takes records from a broker and services from a running stack, as accidents do."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from ringfence.kafka.admin import create_topics
from ringfence_contracts.topics import PARTITIONS, Topic
from ringfence_local.embedded.postgres import program
from ringfence_testing.wait import until
from tests.support.stack_harness import StackHarness


@asynccontextmanager
async def stopped(town: StackHarness, *services: str) -> AsyncIterator[None]:
    """Services that do not run within the block; afterwards they are started again."""
    supervisor = town.stack.supervisor
    programs = [supervisor.children[name].program for name in services]
    for name in services:
        await supervisor.stop(name)
    try:
        yield
    finally:
        for stopped_program in programs:
            await supervisor.start(stopped_program)
        for name in services:
            await until(partial(town.stack.health, name), timeout_s=60, what=f"{name} is up")
        if "accounts" in services:
            await until(partial(_api_answers, town), timeout_s=60, what="the API answers")


async def _api_answers(town: StackHarness) -> bool:
    """Whether the API is served: the service's health is, before that."""
    try:
        await town.door.ask("/mode")
    except httpx.TransportError:
        return False
    return True


async def relayed(town: StackHarness, *schemas: str) -> None:
    """Wait until the outboxes of these schemas are empty: their events are on the broker."""
    for schema in schemas:
        empty = partial(town.one, f"select count(*) = 0 from {schema}.outbox")
        await until(empty, timeout_s=30, what=f"{schema} has published")


async def lose_records(bootstrap: str, *topics: Topic) -> int:
    """Delete all records of topics up to their present ends; how many records there were."""
    partitions = [TopicPartition(t.name, p) for t in topics for p in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(*(t.name for t in topics), bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
    finally:
        await consumer.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_records({p: RecordsToDelete(end) for p, end in ends.items()})
    finally:
        await admin.close()
    lost: int = sum(ends.values()) - sum(begins.values())
    return lost


async def lose_topics(bootstrap: str, *topics: Topic) -> None:
    """Delete topics, and create them again without their records."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic.name for topic in topics])
        await until(lambda: _are_gone(admin, topics), timeout_s=30, what="the topics are gone")
    finally:
        await admin.close()
    await create_topics(bootstrap)


async def _are_gone(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> bool:
    return not {topic.name for topic in topics} & set(await admin.list_topics())


async def set_back(bootstrap: str, group: str, *topics: Topic) -> None:
    """Have a group read topics again from their beginnings; nobody of it may run."""
    partitions = [TopicPartition(t.name, p) for t in topics for p in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.commit(await consumer.beginning_offsets(partitions))
    finally:
        await consumer.stop()


def dump(dsn: str, file: Path, *arguments: str) -> None:
    """Dump a database."""
    _run("pg_dump", "-Fc", "-f", str(file), *arguments, "-d", dsn)


async def restore_schema(dsn: str, file: Path, schema: str) -> None:
    """Put the tables of one schema back to a dump of them, as an operator may do by hand."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname = $1",
            schema,
        )
        await connection.execute(f"truncate {', '.join(row['name'] for row in tables)} cascade")
    finally:
        await connection.close()
    await asyncio.to_thread(
        _run, "pg_restore", "-d", dsn, "--data-only", "--disable-triggers", f"-n{schema}", str(file)
    )


def _run(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [program(name), *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
