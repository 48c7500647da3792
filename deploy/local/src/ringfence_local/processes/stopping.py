"""How a command that runs until it is stopped waits for that."""

import asyncio
import signal


def stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set. Call it within the running loop, in the main thread."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Wait for `stop` for so many seconds at most; whether it was set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
