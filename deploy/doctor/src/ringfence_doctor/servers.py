"""Looking over every server that the product depends on: for `ringfence doctor`."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx

from cdr_ingest.fusionpbx.database import FusionPbxDatabaseSource
from ringfence.clock import Clock
from ringfence_contracts.errors import BadInput
from ringfence_doctor.examinations.fusionpbx import examine_export
from ringfence_doctor.examinations.fusionpbx_database import examine_database
from ringfence_doctor.examinations.lesnet import examine_lesnet
from ringfence_doctor.examinations.receiver import Door, examine_door
from ringfence_doctor.examinations.vodia import examine_vodia
from ringfence_doctor.finding import Finding
from ringfence_doctor.ingest_notes import examine_posts, examine_retention
from ringfence_doctor.store import Intake
from ringfence_pbx.servers import AnyServer, FusionPbxServer, LesnetServer, SecretRef, VodiaServer

PATIENCE_S = 300.0
"""A server that takes longer for all of its checks is left with those that were made."""

_PATIENCE_FOR_TENANT_S = 15.0


@dataclass(frozen=True)
class Bearings:
    """What we know ourselves: the time, where posts are received, what has come in.

    `routes` is filled by the examinations: whether a FusionPBX's outbound routes test toll_allow.
    """

    clock: Clock
    door: Door = field(default_factory=Door)
    intake: Intake = field(default_factory=Intake)
    routes: dict[str, bool] = field(default_factory=dict)


async def examine_servers(servers: Mapping[str, AnyServer], bearings: Bearings) -> list[Finding]:
    """Every check of every server, all servers at once, in the order of the file."""
    return await side_by_side(*(examine(i, server, bearings) for i, server in servers.items()))


async def examine(
    server_id: str, server: AnyServer, bearings: Bearings, *, patience_s: float = PATIENCE_S
) -> list[Finding]:
    """Every check of one server. Nothing is changed on it, and nothing is raised."""
    tenants = () if isinstance(server, LesnetServer) else server.tenants
    patience_s += _PATIENCE_FOR_TENANT_S * max(0, len(tenants) - 1)
    found: list[Finding] = []
    try:
        async with (
            asyncio.timeout(patience_s),
            aclosing(_findings(server_id, server, bearings)) as findings,
        ):
            async for finding in findings:
                found.append(finding)
    except TimeoutError:
        said = f"not all checks were made within {patience_s:g} s"
        found.append(Finding(server_id, "patience", "fail", said, "see why it is so slow"))
    except (ValueError, OSError, httpx.InvalidURL) as error:
        # A URL, a header, a secret's file: only what BadInput says is sure to hold no secret.
        said = str(error) if isinstance(error, BadInput) else type(error).__name__
        found.append(Finding(server_id, "settings", "fail", said, "correct the servers file"))
    return found


async def _findings(
    server_id: str, server: AnyServer, bearings: Bearings
) -> AsyncGenerator[Finding, None]:
    if missing := list(_missing_secrets(server_id, server)):
        for finding in missing:
            yield finding
        return
    for way in _ways(server_id, server, bearings):
        async with aclosing(way) as findings:
            async for finding in findings:
                yield finding
    if isinstance(server, VodiaServer):
        for finding in examine_retention(server_id, server, bearings.intake, bearings.clock):
            yield finding
    if isinstance(server, FusionPbxServer | VodiaServer) and server.push is not None:
        for finding in await examine_door(server_id, server, bearings.door):
            yield finding
        yield examine_posts(server_id, server, bearings.intake, bearings.door, bearings.clock)


def _ways(
    server_id: str, server: AnyServer, bearings: Bearings
) -> Iterator[AsyncGenerator[Finding, None]]:
    """The examinations of a server, by its kind."""
    clock = bearings.clock
    if isinstance(server, VodiaServer):
        yield examine_vodia(server_id, server, clock)
    elif isinstance(server, LesnetServer):
        yield examine_lesnet(server_id, server, clock)
    else:
        if server.way == "database":
            yield _database(server_id, server, clock)
        yield examine_export(server_id, server, clock, bearings.routes)


def _missing_secrets(server_id: str, server: AnyServer) -> Iterator[Finding]:
    """Those that the server itself is asked with; each is named by its place."""
    named: list[SecretRef | None] = []
    if isinstance(server, FusionPbxServer):
        named = [server.api_key, server.dsn]
    elif isinstance(server, VodiaServer):
        named = [server.password]
    else:
        named = [server.api_key, server.id_key, *(link.password for link in server.links)]
    for secret in named:
        try:
            if secret is not None:
                secret.read()
        except BadInput as error:
            do = "put it there, or name the right place in the servers file"
            yield Finding(server_id, "secret", "fail", str(error), do)
        except (OSError, UnicodeError) as error:
            said = f"file {secret.file if secret else ''}: {type(error).__name__}"
            yield Finding(server_id, "secret", "fail", said, "let this user read it, as text")


async def _database(
    server_id: str, server: FusionPbxServer, clock: Clock
) -> AsyncGenerator[Finding, None]:
    source = FusionPbxDatabaseSource(server_id, server)
    try:
        for finding in await examine_database(source, clock):
            yield finding
    finally:
        await source.aclose()


def count_of(findings: Sequence[Finding], state: str) -> int:
    """How many checks ended so."""
    return sum(finding.state == state for finding in findings)


async def side_by_side(*examinations: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
    """What all examinations found, made at once, in their order."""
    return [finding for found in await asyncio.gather(*examinations) for finding in found]
