"""What is measured: sustained throughput, and latencies at a steady rate."""

import asyncio
import time
from itertools import islice
from statistics import quantiles
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer
from bed import Bed
from figures import Figures
from load import calls
from prometheus_client.parser import text_string_to_metric_families

from ringfence_contracts.topics import BALANCE_CHANGED
from ringfence_testing.wait import until

_LOOK_EVERY_S = 0.5
_CHUNK = 5_000


async def throughput(bed: Bed, figures: Figures, *, deck: int, workers: int, calls: int) -> None:
    """A backlog of calls is rated as fast as `workers` can, balance-watch running behind them."""
    conditions = f"{deck:,} prefixes, {workers} worker{'s' * (workers > 1)}"
    bed.console.print(f"Rating {calls:,} calls: {conditions}…")
    written = await bed.bytes_written()
    await _publish(bed, f"t{deck}-{workers}-{time.time_ns()}", deck, calls)
    names = [f"rating-{n}" for n in range(1, workers + 1)]
    before = await bed.entries()
    for name in names:
        await bed.start(name, "rating")
    await bed.start("balance-watch", "balance_watch")
    watch = "balance-watch"
    await until(lambda: bed.at_work(*names), every_s=_LOOK_EVERY_S, timeout_s=120)
    rated_at, began = await bed.entries(), time.monotonic()
    cpu = bed.cpu_seconds([*names, watch])
    await until(lambda: bed.has_entries(before + calls), every_s=_LOOK_EVERY_S, timeout_s=600)
    took_s = time.monotonic() - began
    figures.add("rated, sustained", (before + calls - rated_at) / took_s, "CDR/s", conditions)
    figures.add("balance-watch behind then", await bed.lag(watch), "records", conditions)
    await until(lambda: bed.caught_up(watch), every_s=_LOOK_EVERY_S, timeout_s=600)
    figures.add("... and caught up after", time.monotonic() - began - took_s, "s", conditions)
    used = _by_part(cpu, bed.cpu_seconds([*names, watch]))
    counts = (before + calls - rated_at, calls)
    await _add_costs(bed, figures, used, written, counts, ("", conditions))
    bed.add_memory(figures, [names[0], watch], conditions)
    await _stages(bed, figures, names[0], conditions)
    await bed.stop(*names, "balance-watch")


async def _publish(bed: Bed, run: str, deck: int, count: int) -> None:
    source = calls(run, bed.accounts[deck], count)
    while chunk := list(islice(source, _CHUNK)):
        await bed.publisher.publish(chunk)


async def _add_costs(
    bed: Bed,
    figures: Figures,
    used_s: dict[str, float],
    written: dict[str, int],
    calls: tuple[int, int],
    conditions: tuple[str, str],
) -> None:
    """What a call costs: processor time of those rated meanwhile, bytes of those published."""
    rated, published = calls
    when, where = conditions
    for part, seconds in used_s.items():
        figures.add(f"CPU per CDR{when}, {part}", seconds / rated * 1e6, "us", where)
    for what, count in (await bed.bytes_written()).items():
        per_call = (count - written[what]) / published
        figures.add(f"bytes per CDR{when}, {what}", per_call, "bytes", where)


def _by_part(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    parts: dict[str, float] = {}
    for name, seconds in after.items():
        part = "rating" if name.startswith("rating") else name
        parts[part] = parts.get(part, 0.0) + seconds - before.get(name, 0.0)
    return parts


async def _stages(bed: Bed, figures: Figures, name: str, conditions: str) -> None:
    """p50 and p99 of each stage of a batch, from the worker's own histograms."""
    port = bed.stack.ports[f"{name}-health"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
    text = (await reader.read()).decode().partition("\r\n\r\n")[2]
    writer.close()
    buckets: dict[str, list[tuple[float, float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "ringfence_stage_seconds_bucket":
                stage = sample.labels["stage"]
                buckets.setdefault(stage, []).append((float(sample.labels["le"]), sample.value))
    for stage, counted in buckets.items():
        for share in (0.5, 0.99):
            value = _quantile(counted, share) * 1000
            figures.add(f"stage {stage}, p{round(share * 100)}", value, "ms/batch", conditions)


def _quantile(buckets: list[tuple[float, float]], share: float) -> float:
    """The upper bound of the bucket in which a share of the observations lies."""
    total = buckets[-1][1]
    return next((bound for bound, count in buckets if count >= total * share), float("nan"))


async def latency(bed: Bed, figures: Figures, *, deck: int, rate: int, seconds: int) -> None:
    """From a call accepted by the broker to its account's balance.changed, read by an onlooker."""
    conditions = f"{rate:,} CDR/s for {seconds} s, 1 worker"
    bed.console.print(f"Latencies at {conditions}…")
    await bed.start("rating-1", "rating")
    await bed.start("balance-watch", "balance_watch")
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}
    looking = asyncio.Event()
    onlooker = asyncio.create_task(_look_on(bed, seen, looking))
    await looking.wait()
    warm = list(calls(f"w{time.time_ns()}", bed.accounts[deck], rate))
    await bed.publisher.publish(warm)
    await until(lambda: len(seen) > len(warm) // 2, timeout_s=60, what="the worker is warm")
    await until(lambda: bed.caught_up("rating-1"), timeout_s=60)
    names, written = ["rating-1", "balance-watch"], await bed.bytes_written()
    cpu = bed.cpu_seconds(names)
    source = calls(f"l{time.time_ns()}", bed.accounts[deck], rate * seconds)
    tick_s, began = 0.01, time.monotonic()
    for tick in range(seconds * 100):
        batch = list(islice(source, rate // 100))
        await bed.publisher.publish(batch)
        accepted = time.monotonic()
        sent |= {str(event.event_id): accepted for event in batch}
        await asyncio.sleep(max(0.0, began + (tick + 1) * tick_s - time.monotonic()))
    await asyncio.sleep(1)
    used = _by_part(cpu, bed.cpu_seconds(names))
    counts = (rate * seconds, rate * seconds)
    await _add_costs(bed, figures, used, written, counts, (" at a steady rate", conditions))
    onlooker.cancel()
    took = sorted(seen[call] - sent[call] for call in sent if call in seen)
    cuts = quantiles(took, n=100)
    figures.add("call accepted -> balance.changed read, p50", cuts[49] * 1000, "ms", conditions)
    figures.add("call accepted -> balance.changed read, p99", cuts[98] * 1000, "ms", conditions)
    await bed.stop(*names)


async def _look_on(bed: Bed, seen: dict[str, float], looking: asyncio.Event) -> None:
    consumer: Any = AIOKafkaConsumer(
        BALANCE_CHANGED.name, bootstrap_servers=bed.stack.bootstrap, fetch_max_wait_ms=5
    )
    await consumer.start()
    await consumer.seek_to_end()
    looking.set()
    try:
        async for record in consumer:
            seen.setdefault(orjson.loads(record.value)["cause_id"], time.monotonic())
    finally:
        await consumer.stop()
