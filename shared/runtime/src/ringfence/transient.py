"""Failures: which are worth a retry, what refuses a connection, how a process ends by one."""

import socket
import ssl
from typing import NamedTuple

import asyncpg
import structlog
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError

from ringfence_contracts.errors import (
    EXIT_BUG,
    EXIT_SETTINGS,
    EXIT_TEMPORARY,
    BadInput,
    Retry,
)

TRANSIENT_ERRORS: tuple[type[Exception], ...] = (
    Retry,
    ConnectionError,
    TimeoutError,
    socket.gaierror,  # the server's name is not known while its pod is replaced
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InvalidAuthorizationSpecificationError,  # a password or a certificate that is
    ssl.SSLError,  # being replaced while we run; at the start `postgres.refusal` says which
    asyncpg.InternalClientError,  # a backend that was ended in the middle of a message
)
"""Failures of a dependency: the same work may succeed later. Any other exception is a bug."""

log = structlog.get_logger()


class ConnectionProblem(NamedTuple):
    """Why a server refuses our connections, and the setting to check; holds no secret."""

    message: str
    remedy: str


def exit_status(error: BaseException, **where: object) -> int:
    """The exit status of a process that ends by `error`. Logs the cause, with `where`."""
    if isinstance(error, BadInput):
        log.error("a setting is refused", reason=str(error), **where)
        return EXIT_SETTINGS
    if isinstance(error, TRANSIENT_ERRORS):
        log.error("dependency still failing; exiting to be restarted", reason=repr(error), **where)
        return EXIT_TEMPORARY
    log.error("a bug", exc_info=error, **where)
    return EXIT_BUG
