"""A simulated Les.net, and cdr-ingest's loop for a file of it, on a real database and broker."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from cdr_ingest.ingest import Ingester
from cdr_ingest.lesnet.balance import BalanceWatch
from cdr_ingest.lesnet.poller import LinkPoller
from cdr_ingest.lesnet.wiring import open_lesnet
from cdr_ingest.store import IngestStore
from ringfence.clock import Clock
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Health
from ringfence.postgres.pool import open_pool
from ringfence_contracts.events.account import Service
from ringfence_contracts.topics import CALL_COMPLETED, INGEST_DEAD_LETTERS
from ringfence_pbx.servers import LesnetServer
from ringfence_simulators.lesnet.app import LesnetSimulator, serve
from ringfence_simulators.lesnet.model import Portal
from ringfence_testing.clock import FixedClock
from suspender.drivers.driver import SwitchTarget
from suspender.rules.elements import elements_of

PEER, DID = "D4E3CD2BFC791", "12046664021"
PATH = "/cdr/11330_0000.txt"
NOON = 1795262400
"""2026-11-21 12:00 UTC, 06:00 in Winnipeg."""

ORDERS: dict[str, Any] = {
    "suspend": {"path": "peer/disable", "payload": {"peer": "{peer}"}},
    "resume": {"path": "peer/enable", "payload": {"peer": "{peer}"}},
    "read_back": {
        "path": "peer/show",
        "payload": {"peer": "{peer}"},
        "pointer": "/peer/state",
        "suspended": ("disabled",),
        "active": ("enabled",),
    },
}


@asynccontextmanager
async def simulated(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LesnetSimulator]:
    """The simulator on a free port, its peer known and its keys in the environment."""
    portal = Portal(now=lambda: NOON)
    portal.add({"peers": [{"peer": PEER, "dids": [DID]}]})
    monkeypatch.setenv("TEST_LESNET_API", portal.api_key)
    monkeypatch.setenv("TEST_LESNET_ID", portal.id_key)
    async with serve(portal) as simulator:
        yield simulator


def call(
    minutes: float = 0, *, seconds: int = 61, callee: str = "14165550100", caller: str = DID
) -> dict[str, Any]:
    """A call so many minutes after noon."""
    return {"start": NOON + 60 * minutes, "caller": caller, "callee": callee, "seconds": seconds}


def server_of(simulator: LesnetSimulator, **settings: Any) -> LesnetServer:
    """The servers file's entry: one link, and both keys."""
    link = {"url": f"{simulator.url}{PATH}", "peer": PEER, "dids": [DID]}
    return LesnetServer.model_validate(
        {
            "kind": "lesnet",
            "url": simulator.api_url,
            "links": [link | settings.pop("link", {})],
            "api_key": {"env": "TEST_LESNET_API"},
            "id_key": {"env": "TEST_LESNET_ID"},
            "timeout_s": 5,
            **settings,
        }
    )


def targets_of(*products: Service) -> list[SwitchTarget]:
    """What the products name, each with its product."""
    return [
        SwitchTarget(element, product) for product in products for element in elements_of(product)
    ]


@asynccontextmanager
async def polling(
    simulator: LesnetSimulator,
    database: str,
    kafka_bootstrap: str,
    server_id: str,
    *,
    clock: Clock | None = None,
    ingester: type[Ingester] = Ingester,
    **settings: Any,
) -> AsyncIterator[list[LinkPoller | BalanceWatch]]:
    """The loops of the entry, not yet run."""
    async with (
        await open_pool(database, service="cdr-ingest", size=2) as pool,
        open_publisher(kafka_bootstrap, source="cdr-ingest") as publisher,
        open_lesnet(
            {server_id: server_of(simulator, **settings)},
            ingester=ingester(store=IngestStore(pool), publisher=publisher),
            pool=pool,
            batch_records=2,
            health=Health(),
            clock=clock or FixedClock(),
        ) as loops,
    ):
        yield loops


async def published(
    kafka_bootstrap: str, server_id: str, topic: str = CALL_COMPLETED.name
) -> list[Any]:
    """All records of the server on the topic."""
    reader = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest"
    )
    await reader.start()
    try:
        ends = await reader.end_offsets(reader.assignment())
        found: list[Any] = []
        while any([await reader.position(p) < end for p, end in ends.items()]):
            for records in (await reader.getmany(timeout_ms=200)).values():
                found += [r for r in records if r.key.startswith(f"{server_id}:".encode())]
    finally:
        await reader.stop()
    return found


async def calls_of(
    kafka_bootstrap: str, server_id: str
) -> tuple[list[dict[str, Any]], Counter[bytes]]:
    """The server's completed calls, and how often each event id was published."""
    records = await published(kafka_bootstrap, server_id)
    ids = Counter(dict(r.headers)["ce_id"] for r in records)
    return [orjson.loads(r.value) for r in records], ids


async def dead_letters(kafka_bootstrap: str, server_id: str) -> list[tuple[bytes, str]]:
    """The server's dead letters: bytes and reason."""
    records = await published(kafka_bootstrap, server_id, INGEST_DEAD_LETTERS)
    return [(r.value, dict(r.headers)["dlq_reason"].decode()) for r in records]


async def rows_of(database: str, query: str) -> list[dict[str, Any]]:
    """The rows of a query."""
    connection = await asyncpg.connect(database)
    try:
        return [dict(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()
