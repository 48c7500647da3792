"""What is counted every so often: a gauge shows the last count alone, and no failure ends it."""

import asyncio

from prometheus_client import CollectorRegistry, Gauge

from ringfence.observe.counting import CountLoop, set_gauge
from ringfence.observe.health import Progress
from ringfence_contracts.errors import Retry


def test_a_label_that_is_counted_no_more_is_gone() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("found", "Found.", ["kind"], registry=registry)
    set_gauge(gauge, {("a",): 1, ("b",): 2})
    set_gauge(gauge, {("b",): 3})
    assert registry.get_sample_value("found", {"kind": "a"}) is None
    assert registry.get_sample_value("found", {"kind": "b"}) == 3


async def test_counting_goes_on_after_a_failure_of_the_database() -> None:
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
