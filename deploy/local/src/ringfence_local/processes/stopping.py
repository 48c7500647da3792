"""Waits for a stop signal, for commands that run until they are stopped."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine


def stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set. Call it in the main thread, within the event loop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Wait for `stop` at most `seconds`; returns whether it is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def done_before(stop: asyncio.Event, work: Coroutine[object, object, object]) -> bool:
    """Await `work`, or cancel it when `stop` is set; returns whether it was done.

    What `work` raises is raised.
    """
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    if task.done():
        await task
        return True
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return False
