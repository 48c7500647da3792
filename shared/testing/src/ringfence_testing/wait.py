"""Waiting in tests: for a condition, with a bound, never for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

PATIENCE = 4
"""A bound is what a quiet machine needs; a busy one may take so many times longer."""

T = TypeVar("T")


@overload
async def until(
    condition: Callable[[], Awaitable[T]],
    *,
    timeout_s: float = ...,
    every_s: float = ...,
    what: str = ...,
) -> T: ...
@overload
async def until(
    condition: Callable[[], T],
    *,
    timeout_s: float = ...,
    every_s: float = ...,
    what: str = ...,
) -> T: ...
async def until(
    condition: Callable[[], T | Awaitable[T]],
    *,
    timeout_s: float = 10.0,
    every_s: float = 0.02,
    what: str = "",
) -> T:
    """Call `condition` every `every_s` seconds and return its first truthy value.

    It may be a coroutine function. It is called at least twice, the last time after the bound,
    which is PATIENCE times `timeout_s`.
    Raises AssertionError with `what` was awaited and the last value.
    """
    bound_s = timeout_s * PATIENCE
    deadline = time.monotonic() + bound_s
    while True:
        last_look = time.monotonic() >= deadline
        value = condition()
        found: T = await value if inspect.isawaitable(value) else value
        if found:
            return found
        if last_look:
            awaited = what or getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not within {bound_s:g} s: {awaited}; last value: {found!r}")
        await asyncio.sleep(every_s)
