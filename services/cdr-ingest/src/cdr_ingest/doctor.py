"""Looking over every server that the product depends on: for `ringfence doctor`."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

from cdr_ingest.sources import Refused, Source, SourceUnread, asked, fusionpbx_source
from cdr_ingest.sources.finding import Examinable, Finding
from cdr_ingest.sources.fusionpbx_database import FusionPbxDatabaseSource
from cdr_ingest.sources.fusionpbx_examination import examine_export
from cdr_ingest.sources.fusionpbx_examination_database import examine_database
from cdr_ingest.sources.lesnet import LesnetFiles, Validators
from cdr_ingest.sources.vodia import VodiaSource
from ringfence.clock import Clock
from ringfence.errors import BadInput, Retry
from ringfence.events.call import CallCompleted
from ringfence.pbx.servers import (
    AnyServer,
    FusionPbxServer,
    LesnetLink,
    LesnetServer,
    VodiaServer,
)

_LOOK_BACK_S = 86_400


async def examine_servers(servers: Mapping[str, AnyServer], clock: Clock) -> list[Finding]:
    """Every check of every server, all servers at once, in the order of the file."""
    return await side_by_side(*(examine(i, server, clock) for i, server in servers.items()))


async def examine(server_id: str, server: AnyServer, clock: Clock) -> list[Finding]:
    """Every check of one server. Nothing is changed on it."""
    try:
        if isinstance(server, FusionPbxServer):
            return await _fusionpbx(server_id, server, clock)
        if isinstance(server, VodiaServer):
            return await _vodia(server_id, server, clock)
        return await _lesnet(server_id, server)
    except BadInput as error:
        return [Finding(server_id, "settings", "fail", str(error), "correct the servers file")]


async def _fusionpbx(server_id: str, server: FusionPbxServer, clock: Clock) -> list[Finding]:
    source = fusionpbx_source(server_id, server)
    try:
        if isinstance(source, FusionPbxDatabaseSource):
            return [
                *await examine_database(source, clock),
                *await examine_export(server_id, server, clock),
            ]
        return await examine_export(server_id, server, clock)
    finally:
        await source.aclose()


async def _vodia(server_id: str, server: VodiaServer, clock: Clock) -> list[Finding]:
    """A day's calls of each tenant are listed: that takes address, credentials and rights."""
    source = VodiaSource(server_id, server, known=_nothing_known)
    try:
        if isinstance(source, Examinable):
            return await source.examine()
        found = [Finding(server_id, "tenants", "ok", f"{len(server.tenants)} named")]
        for tenant in server.tenants:
            found.append(await _readable(source, tenant, clock, 10 * server.timeout_s))
        return found
    finally:
        await source.aclose()


async def _lesnet(server_id: str, server: LesnetServer) -> list[Finding]:
    """Each CDR file is fetched, and not read."""
    if not server.links:
        do = "name the CDR files in `links`"
        return [Finding(server_id, "files", "warn", "none is named: no call is read", do)]
    files = LesnetFiles(server_id, server, server.read_profile())
    try:
        return [await _fetched(files, link) for link in server.links]
    finally:
        await files.aclose()


async def _fetched(files: LesnetFiles, link: LesnetLink) -> Finding:
    subject = f"{files.server_id} {link.known_as}"
    try:
        got = await files.fetch(link, Validators(), lambda: None)
    except (Refused, Retry) as error:
        return Finding(subject, "file", "fail", str(error), "as it says; docs/lesnet.md has more")
    size = len(got.body) if got else 0
    do = "`ringfence lesnet try` reads it and says what is in it"
    return Finding(subject, "file", "ok", f"{size} bytes", do)


async def _nothing_known(_: Sequence[UUID]) -> set[UUID]:
    return set()


async def _readable(source: Source, lane: str, clock: Clock, patience_s: float) -> Finding:
    subject = f"{source.server_id} {lane}"
    now = int(clock.now().timestamp())
    count, newest = 0, None
    given = asked(source, lane, now - _LOOK_BACK_S, now + 120, patience_s=patience_s)
    try:
        async with aclosing(given) as records:
            async for record in records:
                if isinstance(record, CallCompleted):
                    count += 1
                    newest = max(newest or record.started_at, record.started_at)
    except SourceUnread as error:
        do = "as it says" if error.refused else "see that it runs, and that `url` leads to it"
        return Finding(subject, "calls", "fail", str(error), do)
    if newest is None:
        do = "make a test call, and see whether the PBX lists it"
        return Finding(subject, "calls", "warn", "none within a day", do)
    return Finding(subject, "calls", "ok", f"{count} in a day, the newest of {newest:%H:%M:%S} UTC")


def count_of(findings: Sequence[Finding], state: str) -> int:
    """How many checks ended so."""
    return sum(finding.state == state for finding in findings)


async def side_by_side(*examinations: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
    """What all examinations found, made at once, in their order."""
    return [finding for found in await asyncio.gather(*examinations) for finding in found]
