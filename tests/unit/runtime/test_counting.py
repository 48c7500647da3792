"""Counting at intervals: a gauge shows only the last count, and failures do not end the loop."""

import asyncio

from prometheus_client import CollectorRegistry, Gauge

from ringfence.observe.counting import CountLoop, set_gauge
from ringfence.observe.health import Progress
from ringfence_contracts.errors import Retry


def test_a_label_without_a_count_is_removed() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("found", "Found.", ["kind"], registry=registry)
    set_gauge(gauge, {("a",): 1, ("b",): 2})
    set_gauge(gauge, {("b",): 3})
    assert registry.get_sample_value("found", {"kind": "a"}) is None
    assert registry.get_sample_value("found", {"kind": "b"}) == 3


async def test_counting_continues_after_a_database_failure() -> None:
    stop, counted = asyncio.Event(), 0

    async def count() -> None:
        nonlocal counted
        counted += 1
        if counted == 1:
            raise Retry("no answer")
        stop.set()

    progress = Progress("counts")
    begun = progress.last_turn
    await CountLoop(count, progress=progress, every_s=0.001).run(stop)
    assert counted == 2
    assert progress.last_turn > begun
