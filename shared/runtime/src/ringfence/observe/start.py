"""At its start a service waits for database and brokers, which may come up later than it does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncpg
import structlog
from aiokafka import AIOKafkaClient
from aiokafka.errors import KafkaError

from ringfence.kafka.brokers import Brokers, client_arguments
from ringfence.kafka.refusal import connection_problem
from ringfence.loops import wait_or_stop
from ringfence.observe.readiness import Readiness
from ringfence.postgres.pool import open_pool
from ringfence.postgres.refusal import DatabaseRefuses
from ringfence.settings import CommonSettings
from ringfence_contracts.errors import Retry

_ASK_EVERY_S = 1.0
_LOG_EVERY_S = 10.0

_NOT_PREPARED = (asyncpg.InvalidCatalogNameError, asyncpg.InvalidParameterValueError)
"""The database, or the role of the service, does not exist yet."""

log = structlog.get_logger()


class _Refused(Exception):
    """A server refuses us: no wait helps."""


class _Dependency(NamedTuple):
    """`problem` returns why it cannot be used yet; None: it answers. Raises _Refused."""

    name: str
    problem: Callable[[], Awaitable[str | None]]


async def wait_for_dependencies(
    service: str, settings: CommonSettings, readiness: Readiness, stop: asyncio.Event
) -> bool:
    """Wait until database and brokers answer; False if `stop` was set before they did.

    A server that refuses us is not waited for: the service then says which setting to check.
    Raises Retry with what was waited for, after `start_wait_s` seconds.
    """
    dsn, brokers = settings.postgres_dsn.get_secret_value(), settings.brokers()
    deadline = asyncio.get_running_loop().time() + settings.start_wait_s
    where = urlsplit(dsn).netloc.rpartition("@")[2]
    for dependency in (
        _Dependency(f"PostgreSQL at {where}", lambda: _database_problem(dsn, service)),
        _Dependency(f"Kafka at {brokers}", lambda: _broker_problem(brokers)),
    ):
        try:
            await _wait_for(dependency, deadline, readiness, stop)
        except _Refused:
            break
    readiness.starting = ""
    return not stop.is_set()


async def _wait_for(
    dependency: _Dependency, deadline: float, readiness: Readiness, stop: asyncio.Event
) -> None:
    now = asyncio.get_running_loop().time
    logged_at = now() - _LOG_EVERY_S
    while not stop.is_set() and (problem := await dependency.problem()):
        waiting = f"waiting for {dependency.name}: {problem}"
        readiness.starting = waiting
        if now() >= deadline:
            raise Retry(f"gave up {waiting}")
        if now() - logged_at >= _LOG_EVERY_S:
            log.info("waiting for a dependency", dependency=dependency.name, problem=problem)
            logged_at = now()
        await wait_or_stop(stop, _ASK_EVERY_S)


async def _database_problem(dsn: str, service: str) -> str | None:
    try:
        pool = await open_pool(dsn, service=service, size=1)
    except DatabaseRefuses as error:
        raise _Refused from error
    except _NOT_PREPARED:
        return "it is not prepared yet (`ringfence database migrate`)"
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return f"no answer ({type(error).__name__})"
    await pool.close()
    return None


async def _broker_problem(brokers: Brokers) -> str | None:
    client = AIOKafkaClient(**client_arguments(brokers))
    try:
        await client.bootstrap()
    except (KafkaError, OSError) as error:
        if await connection_problem(brokers):
            raise _Refused from error
        return f"no answer ({type(error).__name__})"
    finally:
        await client.close()
    # One that has just begun answers before it lists itself; a client cannot start with that.
    return None if client.cluster.brokers() else "it lists no broker yet"
