"""A service as a process: signals, health endpoint, and the exit status."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
import uvloop

from ringfence.gc_tuning import raise_thresholds
from ringfence.kafka.publisher import Publisher
from ringfence.listening.open_files import raise_open_files
from ringfence.loops import wait_or_stop
from ringfence.observe.health import Health, serve_health
from ringfence.observe.logs import configure_logs
from ringfence.postgres.pool import Pool
from ringfence.settings import CommonSettings
from ringfence.transient import exit_status
from ringfence.version import describe_version
from ringfence_contracts.errors import EXIT_TEMPORARY

log = structlog.get_logger()

_REST_S = 5.0
"""A pause before exit 75: a platform that restarts at once would load a failing dependency."""


def run_service(
    name: str,
    settings: CommonSettings,
    main: Callable[[Health, asyncio.Event], Awaitable[None]],
) -> None:
    """Run `main` until SIGTERM or SIGINT, serve the health endpoint, and exit the process.

    Exit status: 0 after a signal; 75, after a pause of 5 s, when a dependency still fails after all
    retries; 64 for a refused setting; 70 for any other error.
    """
    configure_logs(name, settings.log_level)
    raise_thresholds()
    raise_open_files()
    status = uvloop.run(_supervise(name, settings, main))
    sys.stderr.flush()
    # Without finalizers, which might hang: everything that matters is committed.
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
    log.info("started", version=describe_version(), health=addresses)
    try:
        status = await _status_of(main(health, stop))
    finally:
        await server.cleanup()
    if status == EXIT_TEMPORARY:
        await wait_or_stop(signalled, _REST_S)
    return status


async def _status_of(work: Awaitable[None]) -> int:
    """Await `work` and return the exit status for how it ended; logs the end."""
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


def require_stores(health: Health, pool: Pool, publisher: Publisher) -> None:
    """Have /ready ask both stores, over the connections that the service itself uses.

    A broker may answer and yet take nothing, so /ready also reports that all deliveries fail.
    """
    health.readiness.need("database", partial(pool.fetchval, "select 1"))
    health.readiness.need("kafka", publisher.broker_answers)
    health.readiness.need("deliveries", publisher.deliveries_arrive)
