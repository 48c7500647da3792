"""Counts rows of a service's tables at intervals, for metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from prometheus_client import Gauge

from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS

EVERY_S = 15.0
log = structlog.get_logger()


class CountLoop:
    """Calls `count` every 15 s. Every replica does so and exports the same values."""

    def __init__(
        self, count: Callable[[], Awaitable[None]], *, progress: Progress, every_s: float = EVERY_S
    ) -> None:
        self._count = count
        self._progress = progress
        self._every_s = every_s

    async def run(self, stop: asyncio.Event) -> None:
        """Count until `stop` is set; while the database does not answer, values stay as they are.

        After a count that took longer than 15 s, the pause is as long as the count.
        """
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            began = loop.time()
            try:
                await self._count()
            except TRANSIENT_ERRORS as error:
                log.warning("counting waits", reason=repr(error))
            self._progress.turned()
            await wait_or_stop(stop, max(self._every_s, loop.time() - began))


def set_gauge(gauge: Gauge, values: Mapping[tuple[str, ...], int | float]) -> None:
    """Set a gauge to `values` by label values, and remove all its other series.

    It does not await, so that no scrape in the same event loop sees an incomplete gauge.
    """
    gauge.clear()
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
