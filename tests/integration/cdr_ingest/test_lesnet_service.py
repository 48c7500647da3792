"""cdr-ingest and the Les.net simulator as processes, through a kill -9."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from ringfence_local.embedded.ports import free_port
from ringfence_testing.wait import until
from tests.support.lesnet import DID, NOON, PATH, PEER, call, calls_of, dead_letters
from tests.support.narrow import present

SERVERS = """
[servers.{server_id}]
kind = "lesnet"
url = "{url}/v1"
poll_s = 1
links = [{{ url = "{url}{path}", peer = "{peer}", dids = ["{did}"] }}]
api_key = {{ env = "TEST_LESNET_API" }}
id_key = {{ env = "TEST_LESNET_ID" }}
balance_below = 500.00
"""


@asynccontextmanager
async def simulator_process(folder: Path) -> AsyncIterator[Any]:
    """The simulator by its own command, with a seed; gives its URL."""
    seed = folder / "seed.json"
    calls = {PATH: [call(), call(5)]}
    seed.write_bytes(orjson.dumps({"peers": [{"peer": PEER, "dids": [DID]}], "calls": calls}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ringfence_simulators.lesnet", "--port", "0", "--seed", str(seed)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        text = (await asyncio.wait_for(present(process.stdout).readline(), 120)).decode()
        yield text.split()[-1]
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 120) == 0
        process._transport.close()  # type: ignore[attr-defined]


@asynccontextmanager
async def ingest(
    kafka_bootstrap: str, database: str, servers: Path, port: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m cdr_ingest`, ended by SIGTERM if it still runs."""
    environment = {
        "RINGFENCE_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "RINGFENCE_POSTGRES_DSN": database,
        "RINGFENCE_SERVERS_FILE": str(servers),
        "RINGFENCE_HEALTH_PORT": str(port),
        "TEST_LESNET_API": "simulated-api-key",
        "TEST_LESNET_ID": "simulated-id-key",
    }
    log = await asyncio.to_thread(Path(servers).with_suffix(".log").open, "ab")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cdr_ingest", env=os.environ | environment, stderr=log
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 240)
        log.close()


async def text_of(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.text()


async def metric(port: int, line: str) -> bool:
    try:
        return line in await text_of(f"http://127.0.0.1:{port}/metrics")
    except aiohttp.ClientError:
        return False


async def test_files_of_two_days_are_ingested_through_a_kill(
    tmp_path: Path, kafka_bootstrap: str, database: str
) -> None:
    """A first file, a kill, the next day's file, one in another format, and a complete one."""
    server_id, port = f"les-{uuid.uuid4().hex[:8]}", free_port()
    async with simulator_process(tmp_path) as url, aiohttp.ClientSession(url) as http:
        servers = tmp_path / "servers.toml"
        entry = {"server_id": server_id, "url": url, "path": PATH, "peer": PEER, "did": DID}
        servers.write_text(SERVERS.format(**entry))

        async def seen() -> int:
            return len((await calls_of(kafka_bootstrap, server_id))[1])

        async def has(count: int) -> bool:
            return bool(await seen() == count)

        async with ingest(kafka_bootstrap, database, servers, port) as process:
            await until(lambda: has(2), timeout_s=40, every_s=0.5)
            await until(lambda: metric(port, f'balance_low{{server="{server_id}"}} 1.0'))
            age = f'newest_row_age_seconds{{link="127.0.0.1{PATH}"'
            await until(lambda: metric(port, age))
            process.kill()
            await process.wait()
        await http.post("/_sim/calls", json={"path": PATH, "calls": [call(9), call(9)]})
        await http.post("/_sim/write")
        async with ingest(kafka_bootstrap, database, servers, port):
            await until(lambda: has(4), timeout_s=40, every_s=0.5)
            await http.put(f"/_sim/file?path={PATH}", data=b"Date;From\n2026;1\n")
            refused = f'file_refused{{link="127.0.0.1{PATH}",server="{server_id}"}}'
            await until(lambda: metric(port, f"{refused} 1.0"), timeout_s=20)
            await http.post("/_sim/calls", json={"path": PATH, "calls": [call(NOON % 7 + 20)]})
            await http.post("/_sim/write")
            await until(lambda: metric(port, f"{refused} 0.0"), timeout_s=20)
            await until(lambda: has(5), timeout_s=20, every_s=0.5)
        _, ids = await calls_of(kafka_bootstrap, server_id)
        assert set(ids.values()) == {1}
        ((_, reason),) = await dead_letters(kafka_bootstrap, server_id)
        assert "file refused whole" in reason
        log = servers.with_suffix(".log").read_text()
        for text in ("not billed yet, and suspend nobody", "provider balance low", "file refused"):
            assert text in log
        assert "simulated-api-key" not in log
