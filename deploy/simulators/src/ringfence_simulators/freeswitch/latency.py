"""Measures the time from the post of a record until it is in the topic."""

import asyncio
import statistics
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple

from ringfence_simulators.freeswitch.channel import EndedChannel
from ringfence_simulators.freeswitch.module import CdrModule, report_at_rate

_LAST_S = 60.0
"""How long to wait for records after the last post."""


class Latency(NamedTuple):
    """Milliseconds from the post of a record until a consumer has it."""

    posted: int
    refused: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    def __str__(self) -> str:
        return (
            f"{self.posted} posted, {self.refused} refused: p50 {self.p50_ms:.1f} ms,"
            f" p99 {self.p99_ms:.1f} ms, max {self.max_ms:.1f} ms"
        )


async def measure_latency(
    module: CdrModule,
    channels: Sequence[EndedChannel],
    per_second: float,
    appearances: AsyncIterator[str],
) -> Latency:
    """Post `channels` at a rate, and wait until every accepted one appears.

    `appearances` yields the uuids of records as a consumer of the topic gets them; those that were
    not posted here are ignored. The consumer must be started before.
    """
    loop = asyncio.get_running_loop()
    begun: dict[str, float] = {}
    seen: dict[str, float] = {}

    def ended() -> Iterator[EndedChannel]:
        for channel in channels:
            yield channel
            begun[channel.uuid] = loop.time()

    async def watch() -> None:
        async for uuid in appearances:
            seen.setdefault(uuid, loop.time())
            missing.discard(uuid)
            if not missing:
                all_seen.set()

    missing, all_seen = {channel.uuid for channel in channels}, asyncio.Event()
    watching = asyncio.create_task(watch())
    taken = await report_at_rate(module, ended(), per_second)
    refused = {c.uuid for c, was_taken in zip(channels, taken, strict=True) if not was_taken}
    missing -= refused
    if missing:
        await asyncio.wait_for(all_seen.wait(), _LAST_S)
    watching.cancel()
    wanted = begun.keys() - refused
    took_ms = sorted((seen[uuid] - begun[uuid]) * 1000 for uuid in wanted)
    cuts = statistics.quantiles(took_ms, n=100)
    return Latency(len(channels), taken.count(False), cuts[49], cuts[98], took_ms[-1])
