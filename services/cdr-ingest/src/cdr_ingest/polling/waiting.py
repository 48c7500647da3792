"""Waiting between two rounds of a loop that reports its health."""

import asyncio
import time
from collections.abc import Callable

from ringfence.loops import wait_or_stop

_REPORT_EVERY_S = 15.0


async def wait_reporting(stop: asyncio.Event, seconds: float, report: Callable[[], None]) -> bool:
    """Wait for `seconds`, or until `stop` is set. Returns whether it is set.

    `report` is called at least every 15 s, so that a long wait does not look like a stalled loop.
    """
    until = time.monotonic() + seconds
    while not stop.is_set() and (remaining_s := until - time.monotonic()) > 0:
        report()
        await wait_or_stop(stop, min(remaining_s, _REPORT_EVERY_S))
    return stop.is_set()
