"""A receiver with a real broker and database, and readers of its results."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from multidict import CIMultiDictProxy

from cdr_ingest.ingest import Ingester
from cdr_ingest.receiver.collector import Collector
from cdr_ingest.receiver.listener import Receiver, ReceiverLimits
from cdr_ingest.sources.source import BadRow, BLeg
from cdr_ingest.store import IngestStore
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Health
from ringfence.postgres.pool import open_pool
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.topics import CALL_COMPLETED, INGEST_DEAD_LETTERS
from ringfence_pbx.servers import FusionPbxServer
from ringfence_simulators.freeswitch.channel import EndedChannel, new_channel

Records = Sequence[CallCompleted | BLeg | BadRow]
Ingest = Callable[[Records], Awaitable[object]]

USER, PASSWORD = "switch", 'pa"ss:wörd €'
CRED = f"{USER}:{PASSWORD}"
TENANT = "north.example"


def outbound(**changed: Any) -> EndedChannel:
    """A channel whose outbound call of a minute has just ended."""
    return new_channel(
        {
            "domain_name": TENANT,
            "direction": "outbound",
            "extension": "2112",
            "caller_id_number": "2112",
            "caller_destination": "14165550100",
            "destination_number": "14165550100",
            "billsec": 60,
            **changed,
        }
    )


def pushing(push: dict[str, Any] | None = None) -> FusionPbxServer:
    """A server entry that may post; with user and password by default."""
    return FusionPbxServer.model_validate(
        {
            "kind": "fusionpbx",
            "url": "https://pbx.example",
            "api_key": {"env": "TEST_PUSH_KEY"},
            "push": push or {"user": USER, "password": {"env": "TEST_PUSH_PASSWORD"}},
        }
    )


@dataclass
class Receiving:
    """A receiver at `url`, for the one server `server_id`."""

    url: str
    server_id: str
    bootstrap: str
    health: Health
    taken: list[int] = field(default_factory=list)

    def at(self, form: str) -> str:
        """Where a format is posted."""
        return f"{self.url}/cdr/{self.server_id}/{form}"

    async def published(self) -> list[CallCompleted]:
        """The calls of this server on the topic, in the order of their partitions."""
        values = await read_all(self.bootstrap, CALL_COMPLETED.name)
        calls = [CallCompleted.model_validate_json(record.value) for record in values]
        return [call for call in calls if call.server_id == self.server_id]

    async def parked(self) -> list[tuple[bytes, str]]:
        """The dead letters of this server: bytes and reason."""
        records = await read_all(self.bootstrap, INGEST_DEAD_LETTERS)
        prefix = f"{self.server_id}:".encode()
        return [
            (r.value, dict(r.headers)["dlq_reason"].decode())
            for r in records
            if r.key.startswith(prefix)
        ]


@asynccontextmanager
async def receiving(
    bootstrap: str,
    database: str,
    *,
    push: dict[str, Any] | None = None,
    ingest: Callable[[Ingest, Records], Awaitable[object]] | None = None,
    **limits: Any,
) -> AsyncIterator[Receiving]:
    """Serve on a free port; `ingest` replaces the ingester's method and is passed it."""
    server_id = f"pbx-{uuid.uuid4().hex[:8]}"
    bounds: dict[str, Any] = {"body_bytes": 100_000, "posts": 500, "answer_s": 5.0, **limits}
    async with (
        await open_pool(database, service="cdr-ingest") as pool,
        open_publisher(bootstrap, source="cdr-ingest") as publisher,
    ):
        ingester = Ingester(store=IngestStore(pool), publisher=publisher)
        health = Health()
        found = Receiving("", server_id, bootstrap, health)

        async def count(records: Records) -> None:
            found.taken.append(len(records))
            await (ingest(ingester.ingest, records) if ingest else ingester.ingest(records))

        receiver = Receiver(
            servers={server_id: pushing(push)},
            collector=Collector(
                ingest=count,
                progress=health.loop("posts"),
                batch_records=500,
                capacity=bounds["posts"],
                ingest_timeout_s=2.0,
            ),
            host="127.0.0.1",
            port=0,
            limits=ReceiverLimits(**bounds),
        )
        async with receiver.serving() as url:
            found.url = url
            yield found


async def read_all(bootstrap: str, topic: str) -> list[Any]:
    """All records of a topic up to now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        partitions = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic)]
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        records: list[Any] = []
        while any([await consumer.position(p) < ends[p] for p in partitions]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
        return records
    finally:
        await consumer.stop()


@asynccontextmanager
async def http(cred: bool = True) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that sends the right credentials, or none."""
    auth = aiohttp.encode_basic_auth(USER, PASSWORD) if cred else None
    headers = {"Authorization": auth} if auth else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield session


async def post(
    session: aiohttp.ClientSession,
    url: str,
    body: str | bytes | IO[bytes],
    content_type: str = "application/json",
    **params: str,
) -> tuple[int, CIMultiDictProxy[str], Any]:
    """Status, headers and JSON of the answer."""
    headers = {"Content-Type": content_type}
    async with session.post(url, data=body, headers=headers, params=params) as response:
        return response.status, response.headers, await response.json()
