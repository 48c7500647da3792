"""Runs the cdr-ingest service in this process, and reads what it publishes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer

from cdr_ingest.service import run
from cdr_ingest.settings import Settings
from cdr_ingest.sources.source import ListedRecord, SourceRecord, UnprovenRow
from ringfence.observe.health import Health
from ringfence_contracts.records import Received
from ringfence_contracts.topics import (
    BY_NAME,
    CALL_COMPLETED,
    CALL_UNCONFIRMED,
    INGEST_DEAD_LETTERS,
    SOURCE_FAILED,
    SOURCE_GAP_FOUND,
    SOURCE_RECOVERED,
    Topic,
)

HEARD = [
    *(
        t.name
        for t in (
            CALL_COMPLETED,
            CALL_UNCONFIRMED,
            SOURCE_FAILED,
            SOURCE_RECOVERED,
            SOURCE_GAP_FOUND,
        )
    ),
    INGEST_DEAD_LETTERS,
]


@dataclass
class Ear:
    """The records published since it was opened, in the order received."""

    consumer: AIOKafkaConsumer
    heard: list[Received] = field(default_factory=list)

    async def listen(self) -> None:
        """Read all records that the broker has now."""
        ends = await self.consumer.end_offsets(list(self.consumer.assignment()))
        while True:
            for place, records in (await self.consumer.getmany(timeout_ms=20)).items():
                self.heard += [
                    Received(place.topic, place.partition, r.offset, r.key, r.value, r.headers)
                    for r in records
                ]
            if all([await self.consumer.position(p) >= end for p, end in ends.items()]):
                return

    async def events(self, topic: Topic, *server_ids: str) -> list[Any]:
        """The events of these servers on a topic, parsed by its contract."""
        await self.listen()
        model = BY_NAME[topic.name].data
        found = [model.model_validate_json(r.value) for r in self.heard if r.topic == topic.name]
        return [event for event in found if getattr(event, "server_id", None) in server_ids]

    async def call_ids(self, *server_ids: str) -> list[str]:
        """The ids of the published calls, with duplicates."""
        return [c.source_call_id for c in await self.events(CALL_COMPLETED, *server_ids)]


@asynccontextmanager
async def ear(bootstrap: str) -> AsyncIterator[Ear]:
    """Receive all records that are published from now on."""
    consumer = AIOKafkaConsumer(*HEARD, bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        await consumer.seek_to_end()
        for place in consumer.assignment():
            await consumer.position(place)
        yield Ear(consumer)
    finally:
        await consumer.stop()


@dataclass
class Ingest:
    """The running service."""

    health: Health
    stop: asyncio.Event
    task: asyncio.Task[None]


@asynccontextmanager
async def ingest(
    bootstrap: str, dsn: str, servers_file: Path, **settings: Any
) -> AsyncIterator[Ingest]:
    """Run the service with settings for tests. An error that ends it early is raised."""
    defaults = {"sweep_s": 600, "lag_s": 300, "backoff_max_s": 0.2, "push_port": 0}
    given: dict[str, Any] = {
        f"cdr_ingest_{name}": value for name, value in {**defaults, **settings}.items()
    }
    chosen = Settings(
        kafka_bootstrap=bootstrap, postgres_dsn=dsn, servers_file=servers_file, **given
    )
    health, stop = Health(), asyncio.Event()
    task = asyncio.create_task(run(chosen, health, stop))
    try:
        yield Ingest(health, stop, task)
    finally:
        stop.set()
        await asyncio.wait_for(task, 120)


def servers_toml(tmp_path: Path, **servers: dict[str, Any]) -> Path:
    """A servers file of these entries, each a dictionary of plain values."""
    lines = []
    for server_id, entry in servers.items():
        lines.append(f"[servers.{server_id}]")
        lines += [f"{name} = {_toml(value)}" for name, value in entry.items()]
    path = tmp_path / "servers.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def reading_of(record: ListedRecord) -> SourceRecord:
    """What a row seems to be, whether it is confirmed or not."""
    return record.reading if isinstance(record, UnprovenRow) else record


async def rows(dsn: str, query: str, *arguments: object) -> list[asyncpg.Record]:
    """The rows of a query."""
    connection = await asyncpg.connect(dsn)
    try:
        found: list[asyncpg.Record] = await connection.fetch(query, *arguments)
        return found
    finally:
        await connection.close()
