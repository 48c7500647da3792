"""Waiting in tests: for a condition, with a bound; never for a time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

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
    """The first truthy value of `condition`, which is asked every `every_s`.

    It may be a coroutine function, and is asked at least twice, the last time after the bound.
    Raises AssertionError that says `what` was awaited and what the last value was.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        last_look = time.monotonic() >= deadline
        value = condition()
        found: T = await value if inspect.isawaitable(value) else value
        if found:
            return found
        if last_look:
            awaited = what or getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not within {timeout_s:g} s: {awaited}; last value: {found!r}")
        await asyncio.sleep(every_s)
