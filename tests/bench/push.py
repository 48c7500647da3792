"""What is measured of pushed records: from the post to the topic, at a steady rate."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer
from bed import Bed
from figures import Figures

from ringfence_contracts.topics import CALL_COMPLETED
from ringfence_local.embedded.ports import free_port
from ringfence_simulators.freeswitch.__main__ import calls
from ringfence_simulators.freeswitch.latency import Latency, measure_latency
from ringfence_simulators.freeswitch.module import CdrModule, ModuleSettings

_SERVERS = """
[servers.pbx1]
kind = "fusionpbx"
url = "http://127.0.0.1:1"
api_key = { env = "RINGFENCE_BENCH_KEY" }
push = { open = true }
"""


async def push(bed: Bed, figures: Figures, folder: Path, *, rate: int, seconds: int) -> None:
    """FreeSWITCH's JSON posts over loopback, the poster on the same machine."""
    conditions = f"{rate:,} posts/s for {seconds} s, JSON"
    bed.console.print(f"Posting {conditions}…")
    servers, port = folder / "servers.toml", free_port()
    servers.write_text(_SERVERS, encoding="utf-8")
    settings = {
        "RINGFENCE_SERVERS_FILE": str(servers),
        "RINGFENCE_CDR_INGEST_PUSH_PORT": str(port),
        "RINGFENCE_BENCH_KEY": "a key that is used for nothing here, 0123456789",
    }
    await bed.start("cdr-ingest", "cdr_ingest", settings)
    consumer: Any = AIOKafkaConsumer(
        CALL_COMPLETED.name, bootstrap_servers=bed.stack.bootstrap, fetch_max_wait_ms=5
    )
    await consumer.start()
    await consumer.seek_to_end()
    url = f"http://127.0.0.1:{port}/cdr/pbx1/json"
    try:
        await _measure(consumer, url, "warm.example", rate, rate)
        before = bed.cpu_seconds(["cdr-ingest"])["cdr-ingest"]
        took = await _measure(consumer, url, "bench.example", rate, rate * seconds)
        used_s = bed.cpu_seconds(["cdr-ingest"])["cdr-ingest"] - before
    finally:
        await consumer.stop()
        await bed.stop("cdr-ingest")
    await bed.drain()
    figures.add("post -> call.completed read, p50", took.p50_ms, "ms", conditions)
    figures.add("post -> call.completed read, p99", took.p99_ms, "ms", conditions)
    figures.add("CPU per post, cdr-ingest", used_s / (rate * seconds) * 1e6, "us", conditions)
    figures.add("posts refused with 503", took.refused, "posts", conditions)


async def _measure(consumer: Any, url: str, tenant: str, rate: int, count: int) -> Latency:
    settings = ModuleSettings(form="json", urls=(url,))
    async with aclosing(_uuids(consumer)) as appearances, CdrModule(settings) as module:
        channels = list(calls(count, tenant, "2112"))
        return await measure_latency(module, channels, rate, appearances)


async def _uuids(consumer: Any) -> AsyncGenerator[str, None]:
    async for record in consumer:
        yield orjson.loads(record.value)["source_call_id"]
