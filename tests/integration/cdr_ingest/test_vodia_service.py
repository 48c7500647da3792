"""cdr-ingest as a process with a Vodia: a polled and posted call is one, and none is lost."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from ringfence_contracts.ids import call_id
from ringfence_contracts.topics import CALL_COMPLETED
from ringfence_local.embedded.ports import free_port
from ringfence_simulators.faults import Fault
from ringfence_simulators.vodia.app import VodiaSimulator
from ringfence_simulators.vodia.calls import SimulatedVodiaCall
from ringfence_testing.wait import until
from tests.support.vodia import CFFM, PASSWORD, outbound, simulated

ENTRY = """
[servers.{server_id}]
kind = "vodia"
url = "{url}"
user = "admin"
password = {{ env = "TEST_VODIA_PASSWORD" }}
tenants = ["{tenant}"]
poll_s = 0.2
page_size = 20
timeout_s = 1
call_key = "{call_key}"
push = {{ open = true }}
"""


@asynccontextmanager
async def ingest(
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
    pbx: VodiaSimulator,
    *,
    server_id: str,
    call_key: str = "PrimaryCallID",
) -> AsyncIterator[Any]:
    """`python -m cdr_ingest`, ended by SIGTERM; yields the URL for posts."""
    servers, port = tmp_path / "servers.toml", free_port()
    entry = ENTRY.format(server_id=server_id, url=pbx.url, tenant=CFFM, call_key=call_key)
    servers.write_text(entry)
    environment = {
        "RINGFENCE_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "RINGFENCE_POSTGRES_DSN": database,
        "RINGFENCE_SERVERS_FILE": str(servers),
        "RINGFENCE_HEALTH_PORT": "0",
        "RINGFENCE_CDR_INGEST_PUSH_PORT": str(port),
        "RINGFENCE_CDR_INGEST_BACKOFF_MAX_S": "0.5",
        "TEST_VODIA_PASSWORD": PASSWORD,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cdr_ingest", env=os.environ | environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await until(lambda: answers(port), timeout_s=30)
        yield f"127.0.0.1:{port}/cdr/{server_id}"
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 240) == 0


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def published(kafka_bootstrap: str, server_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Every `call.completed` of the server: id and content."""
    consumer = AIOKafkaConsumer(
        CALL_COMPLETED.name, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    found = []
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(p) < end for p, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found += [(dict(r.headers)["ce_id"].decode(), orjson.loads(r.value)) for r in batch]
    finally:
        await consumer.stop()
    return [(event_id, call) for event_id, call in found if call["server_id"] == server_id]


async def accepted(database: str, server_id: str, disposition: str = "published") -> int:
    connection = await asyncpg.connect(database)
    try:
        return int(
            await connection.fetchval(
                "select count(*) from cdr_ingest.record where server_id = $1 and disposition = $2",
                server_id,
                disposition,
            )
        )
    finally:
        await connection.close()


async def place(pbx: VodiaSimulator, count: int = 1, **changed: Any) -> list[SimulatedVodiaCall]:
    """Calls that end now, listed and posted."""
    calls = [pbx.pbx.place(outbound(**changed)) for _ in range(count)]
    for call in calls:
        await pbx.posting.post(call)
    return calls


def clocks() -> dict[str, Any]:
    """The simulator uses the machine's clock, like the process of the service."""
    return {"clock": time.time}


@pytest.mark.parametrize("call_key", ["PrimaryCallID", "CallID"])
async def test_a_call_that_is_posted_and_polled_is_published_once(
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    call_key: str,
) -> None:
    """In either order, there is one event."""
    server_id = f"vodia-{call_key.lower()}"
    async with simulated(monkeypatch, **clocks(), listed_call_id=call_key) as pbx:
        started = ingest(
            tmp_path, kafka_bootstrap, database, pbx, server_id=server_id, call_key=call_key
        )
        async with started as where:
            pulled = await place(pbx, 5)
            await until(lambda: count(database, server_id, 5))
            pbx.posting.configure(f"json://{where}/json webcdr://{where}/webcdr")
            for call in pulled:
                await pbx.posting.post(call)
            pushed = await place(pbx, 20, direction="outbound") + await place(
                pbx, 5, direction="inbound"
            )
            await until(lambda: count(database, server_id, 30))
            pages = pbx.site.pages_sent
            await until(lambda: pbx.site.pages_sent > pages + 4, what="the pull has seen them all")
            assert set(pbx.posting.answers) == {200}
        events = await published(kafka_bootstrap, server_id)
    names = [c.primary_id if call_key == "PrimaryCallID" else c.trunk_id for c in pulled + pushed]
    assert Counter(id for id, _ in events) == Counter(str(call_id(server_id, n)) for n in names)
    ways = Counter(call["source"] for _, call in events)
    assert ways["vodia-pull"] >= 5
    assert ways["vodia-push"] >= 1


async def test_calls_whose_posts_failed_are_polled(
    tmp_path: Path, kafka_bootstrap: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls continue while the server fails in every way; none is lost or published twice."""
    server_id = "vodia-faults"
    async with simulated(monkeypatch, **clocks(), order="oldest-first", largest_page=10) as pbx:
        async with ingest(tmp_path, kafka_bootstrap, database, pbx, server_id=server_id):
            await place(pbx, 30)
            for fault in (
                Fault("status", "/rest", "500", times=2),
                Fault("status", "/rest", "429 1"),
                Fault("html", "/rest", "<h1>no</h1>", times=2),
                Fault("slow", "/rest", "3"),
                Fault("cut", "/rest", times=2),
                Fault("cut-quiet", "/rest", times=2),
                Fault("redirect", "/rest", "/rest/round", times=2),
                Fault("drop", "/rest", times=2),
            ):
                pbx.faults.planned.append(fault)
                await place(pbx, 7)
                await until(lambda: not pbx.faults.planned, timeout_s=20)
            calls = pbx.pbx.calls
            await until(lambda: count(database, server_id, len(calls)), timeout_s=20)
        events = await published(kafka_bootstrap, server_id)
    expected = Counter(str(call_id(server_id, call.primary_id)) for call in calls)
    assert Counter(id for id, _ in events) == expected


async def test_a_server_that_asks_for_a_pause_gets_it(
    tmp_path: Path, kafka_bootstrap: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Retry-After` is longer than the back-off, and is obeyed."""
    server_id = "vodia-patience"
    async with (
        simulated(monkeypatch, **clocks()) as pbx,
        ingest(tmp_path, kafka_bootstrap, database, pbx, server_id=server_id),
    ):
        await until(lambda: pbx.site.pages_sent > 2)
        pbx.faults.planned.append(Fault("status", "/rest", "429 3"))
        await until(lambda: not pbx.faults.planned)
        refused_at, pages = time.monotonic(), pbx.site.pages_sent
        await until(lambda: pbx.site.pages_sent > pages)
        assert time.monotonic() - refused_at > 2.5


async def count(database: str, server_id: str, expected: int) -> bool:
    """Whether exactly `expected` calls were published; fails if there are more."""
    found = await accepted(database, server_id)
    assert found <= expected
    return found == expected
