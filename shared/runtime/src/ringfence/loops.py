"""Loops of a service: each repeats a step and pauses; they run and stop together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS

log = structlog.get_logger()

Loop = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""One loop of a service: runs until the event is set, and finishes what is in flight."""


async def wait_or_stop(stop: asyncio.Event, seconds: float) -> bool:
    """Wait for `seconds`, or less if `stop` is set first; returns whether it is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def run_loop(
    stop: asyncio.Event,
    step: Callable[[], Awaitable[int]] | Callable[[], Awaitable[None]],
    failure_event: str,
    *,
    progress: Progress,
    every_s: float,
    full_batch: int | None = None,
    longest_pause_s: float | None = None,
) -> None:
    """Repeat `step` until `stop` is set, with a pause of `every_s` seconds after each.

    A step returns how many records it processed, or None. After `full_batch` or more the next step
    follows without a pause. After one of TRANSIENT_ERRORS, `failure_event` is logged with its
    reason and the step is repeated after the pause, which doubles with each failure in a row up to
    `longest_pause_s`, if that is given. Any other exception of the step is raised.
    """
    progress.pauses(max(every_s, longest_pause_s or 0.0))
    pause_s = every_s
    while not stop.is_set():
        processed = 0
        try:
            processed = await step() or 0
            pause_s = every_s
        except TRANSIENT_ERRORS as error:
            log.warning(failure_event, reason=repr(error))
            pause_s = max(pause_s, min(longest_pause_s or 0.0, pause_s * 2))
        progress.turned(read=processed)
        if full_batch is None or processed < full_batch:
            await wait_or_stop(stop, pause_s)


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
