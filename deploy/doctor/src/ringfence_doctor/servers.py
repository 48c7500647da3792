"""Checks every server of the servers file."""

import asyncio
import time
import traceback
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx

from cdr_ingest.fusionpbx.database import FusionPbxDatabaseSource
from ringfence.clock import Clock
from ringfence_contracts.errors import BadInput
from ringfence_doctor.check_result import CheckResult
from ringfence_doctor.examinations.fusionpbx import examine_export
from ringfence_doctor.examinations.fusionpbx_database import examine_database
from ringfence_doctor.examinations.lesnet import examine_lesnet
from ringfence_doctor.examinations.receiver import ReceiverAddress, examine_receiver
from ringfence_doctor.examinations.vodia import examine_vodia
from ringfence_doctor.ingest_checks import (
    examine_legs,
    examine_posts,
    examine_retention,
    examine_second_trunks,
)
from ringfence_doctor.progress import ExaminationProgress
from ringfence_doctor.store import IngestState
from ringfence_pbx.servers import AnyServer, FusionPbxServer, LesnetServer, SecretRef, VodiaServer

SERVER_TIMEOUT_S = 300.0
"""The time limit for all checks of a server; after it, the checks made so far are reported."""

_PATIENCE_FOR_TENANT_S = 15.0


@dataclass(frozen=True)
class ExaminationLimits:
    """How long the checks of one server, and of all servers, may take, and how many run at once.

    `servers_s` and `at_once` None: as long and as many as there are servers. The time of a server
    grows with its tenants, but not beyond `servers_s`.
    """

    server_s: float = SERVER_TIMEOUT_S
    servers_s: float | None = None
    at_once: int | None = None


@dataclass(frozen=True)
class ExaminationContext:
    """What the checks need to know: the clock, the receiver's address, what was ingested.

    The checks fill `routes`: whether a FusionPBX's outbound routes test toll_allow, by server id.
    """

    clock: Clock
    receiver: ReceiverAddress = field(default_factory=ReceiverAddress)
    ingest_state: IngestState = field(default_factory=IngestState)
    routes: dict[str, bool] = field(default_factory=dict)


async def examine_servers(
    servers: Mapping[str, AnyServer],
    context: ExaminationContext,
    limits: ExaminationLimits,
    progress: ExaminationProgress,
) -> list[CheckResult]:
    """All checks of all servers, run concurrently; the results are in the order of the file."""
    turns = asyncio.Semaphore(limits.at_once or max(1, len(servers)))
    ends_at = None if limits.servers_s is None else time.monotonic() + limits.servers_s

    async def in_turn(server_id: str, server: AnyServer) -> list[CheckResult]:
        async with turns:
            left_s = None if ends_at is None else ends_at - time.monotonic()
            if left_s is not None and left_s <= 0:
                return [_without_a_turn(server_id, limits)]
            with progress.part(server_id):
                return await examine_server(server_id, server, context, limits.server_s, left_s)

    return await gather_results(*(in_turn(i, server) for i, server in servers.items()))


def _without_a_turn(server_id: str, limits: ExaminationLimits) -> CheckResult:
    message = f"not examined: the servers before it took {limits.servers_s:g} s"
    action = f"`ringfence doctor --server {server_id}` examines it alone"
    return CheckResult(server_id, "patience", "fail", message, action)


async def examine_server(
    server_id: str,
    server: AnyServer,
    context: ExaminationContext,
    patience_s: float = SERVER_TIMEOUT_S,
    at_most_s: float | None = None,
) -> list[CheckResult]:
    """All checks of one server. They change nothing and raise nothing.

    `patience_s` grows by 15 s for each further tenant, but not beyond `at_most_s`.
    """
    tenants = () if isinstance(server, LesnetServer) else server.tenants
    patience_s += _PATIENCE_FOR_TENANT_S * max(0, len(tenants) - 1)
    patience_s = patience_s if at_most_s is None else min(patience_s, at_most_s)
    found: list[CheckResult] = []
    try:
        async with (
            asyncio.timeout(patience_s),
            aclosing(_findings(server_id, server, context)) as findings,
        ):
            async for finding in findings:
                found.append(finding)
    except TimeoutError:
        message = f"not all checks were made within {round(patience_s, 1):g} s"
        found.append(CheckResult(server_id, "patience", "fail", message, "see why it is so slow"))
    except (ValueError, OSError, httpx.InvalidURL) as error:
        # Caused by a URL, a header or a secret's file: only BadInput's text never has a secret.
        message = str(error) if isinstance(error, BadInput) else type(error).__name__
        found.append(
            CheckResult(server_id, "settings", "fail", message, "correct the servers file")
        )
    except Exception as error:
        # Caused by an answer that a check does not expect. It must not end the others' checks, or
        # the service that makes them.
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__} in {place.name}: the checks after this one were not made"
        action = "a defect of ringfence: report it with this line"
        found.append(CheckResult(server_id, "defect", "fail", message, action))
    return found


async def _findings(
    server_id: str, server: AnyServer, context: ExaminationContext
) -> AsyncGenerator[CheckResult, None]:
    if missing := list(_missing_secrets(server_id, server)):
        for finding in missing:
            yield finding
        return
    for examination in _examinations(server_id, server, context):
        async with aclosing(examination) as findings:
            async for finding in findings:
                yield finding
    for finding in _of_ingested(server_id, server, context):
        yield finding
    if isinstance(server, FusionPbxServer | VodiaServer) and server.push is not None:
        for finding in await examine_receiver(server_id, server, context.receiver):
            yield finding
        yield examine_posts(
            server_id, server, context.ingest_state, context.receiver, context.clock
        )


def _of_ingested(
    server_id: str, server: AnyServer, context: ExaminationContext
) -> Iterator[CheckResult]:
    """What the records show that cdr-ingest has of the server."""
    if isinstance(server, VodiaServer):
        yield from examine_retention(server_id, server, context.ingest_state, context.clock)
        yield from examine_second_trunks(server_id, server, context.ingest_state)
    elif isinstance(server, FusionPbxServer):
        yield from examine_legs(server_id, context.ingest_state)


def _examinations(
    server_id: str, server: AnyServer, context: ExaminationContext
) -> Iterator[AsyncGenerator[CheckResult, None]]:
    """The examinations of a server, by its kind."""
    clock = context.clock
    if isinstance(server, VodiaServer):
        yield examine_vodia(server_id, server, clock)
    elif isinstance(server, LesnetServer):
        yield examine_lesnet(server_id, server, clock)
    else:
        if server.way == "database":
            yield _database(server_id, server, clock)
        yield examine_export(server_id, server, clock, context.routes)


def _missing_secrets(server_id: str, server: AnyServer) -> Iterator[CheckResult]:
    """The missing secrets among those that are sent to the server."""
    named: list[SecretRef | None] = []
    if isinstance(server, FusionPbxServer):
        named = [server.api_key, server.dsn, server.export_secret]
    elif isinstance(server, VodiaServer):
        named = [server.password]
    else:
        named = [server.api_key, server.id_key, *(link.password for link in server.links)]
    for secret in named:
        try:
            if secret is not None:
                secret.read()
        except BadInput as error:
            action = "put it there, or name the right place in the servers file"
            yield CheckResult(server_id, "secret", "fail", str(error), action)
        except (OSError, UnicodeError) as error:
            message = f"file {secret.file if secret else ''}: {type(error).__name__}"
            yield CheckResult(
                server_id, "secret", "fail", message, "let this user read it, as text"
            )


async def _database(
    server_id: str, server: FusionPbxServer, clock: Clock
) -> AsyncGenerator[CheckResult, None]:
    source = FusionPbxDatabaseSource(server_id, server)
    try:
        for finding in await examine_database(source, clock):
            yield finding
    finally:
        await source.aclose()


async def gather_results(
    *examinations: Coroutine[Any, Any, list[CheckResult]],
) -> list[CheckResult]:
    """The results of all examinations, which run concurrently, in their order."""
    return [finding for found in await asyncio.gather(*examinations) for finding in found]
