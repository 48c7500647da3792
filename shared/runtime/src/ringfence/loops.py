"""Loops of a service: they run together, stop together, and pause without delaying the stop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Loop = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""One loop of a service: runs until the event is set, and finishes what is in flight."""


async def wait_or_stop(stop: asyncio.Event, seconds: float) -> bool:
    """Wait for `seconds`, or less if `stop` is set meanwhile; returns whether it is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def run_together(stop: asyncio.Event, *loops: Loop) -> None:
    """Run `loops` at the same time; when one ends or fails, `stop` is set for the others.

    Raises an exception group with what the loops raised.
    """

    async def guarded(loop: Loop) -> None:
        try:
            await loop(stop)
        finally:
            stop.set()

    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(guarded(loop))
