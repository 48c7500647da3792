"""A service as a process: loops that run together and stop together, with an honest exit status."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
import uvloop

from ringfence.kafka.shell import exit_status, wait_or_stop
from ringfence.memory import relax_collector
from ringfence.observe.health import Health, serve_health
from ringfence.observe.logs import configure_logs
from ringfence.settings import CommonSettings
from ringfence.version import in_words
from ringfence_contracts.errors import EXIT_TEMPORARY

log = structlog.get_logger()

_REST_S = 5.0
"""Not every platform backs off: services that are started again at once starve what they miss."""

Loop = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""One loop of a service: runs until the event is set, finishing what it has in hand."""


def run_service(
    name: str,
    settings: CommonSettings,
    main: Callable[[Health, asyncio.Event], Awaitable[None]],
) -> None:
    """Run `main` until SIGTERM or SIGINT, serve health meanwhile, and exit by what happened.

    0 after a signal; 75, after a rest, when the world stayed unwell; 78 when the fuse blew; 70 on
    a bug.
    """
    configure_logs(name, settings.log_level)
    relax_collector()
    status = uvloop.run(_supervise(name, settings, main))
    sys.stderr.flush()
    # No finalizer may hang a process that has decided to stop: all that matters is committed.
    os._exit(status)


async def _supervise(
    name: str,
    settings: CommonSettings,
    main: Callable[[Health, asyncio.Event], Awaitable[None]],
) -> int:
    stop, signalled = asyncio.Event(), asyncio.Event()

    def end() -> None:
        signalled.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    health = Health(stopping=stop.is_set)
    server = await serve_health(health, settings.health_host, settings.health_port)
    addresses = [f"http://{host}:{port}" for host, port, *_ in server.addresses]
    log.info("started", version=in_words(), health=addresses)
    try:
        status = await _status_of(main(health, stop))
    finally:
        await server.cleanup()
    if status == EXIT_TEMPORARY:
        await wait_or_stop(signalled, _REST_S)
    return status


async def _status_of(work: Awaitable[None]) -> int:
    """The exit status by how the work ended, with a line in the log."""
    try:
        await work
    except BaseExceptionGroup as group:
        return exit_status(_first(group))
    except Exception as error:
        return exit_status(error)
    log.info("stopped")
    return 0


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def run_loops(stop: asyncio.Event, *loops: Loop) -> None:
    """Run `loops` together; when one ends or fails, the others are told to stop."""

    async def guarded(loop: Loop) -> None:
        try:
            await loop(stop)
        finally:
            stop.set()

    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(guarded(loop))
