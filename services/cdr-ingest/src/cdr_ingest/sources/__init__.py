"""Where calls come from: one module per kind of server, all giving the same records."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from cdr_ingest.sources.asked import SourceUnread, asked
from cdr_ingest.sources.fusionpbx import FusionPbxSource
from cdr_ingest.sources.fusionpbx_database import FusionPbxDatabaseSource
from cdr_ingest.sources.source import (
    ALL_TENANTS,
    BadRow,
    BLeg,
    Source,
    SourceRecord,
    record_id,
)
from cdr_ingest.sources.vodia import Known, VodiaSource
from ringfence.pbx.fusionpbx import Refused
from ringfence.pbx.servers import FusionPbxServer, Servers
from ringfence.pbx.throttle import Throttled

__all__ = [
    "ALL_TENANTS",
    "BLeg",
    "BadRow",
    "FusionPbxDatabaseSource",
    "Refused",
    "Source",
    "SourceRecord",
    "SourceUnread",
    "Throttled",
    "asked",
    "open_sources",
    "record_id",
]


@asynccontextmanager
async def open_sources(servers: Servers, *, known: Known) -> AsyncIterator[Mapping[str, Source]]:
    """The servers that can be asked for calls, by id; their connections close with the context.

    `known` says which records were accepted before, for sources that page until they meet those.
    """
    async with AsyncExitStack() as stack:
        sources: dict[str, Source] = {}
        for server_id, fusionpbx in servers.fusionpbx.items():
            source = fusionpbx_source(server_id, fusionpbx)
            stack.push_async_callback(source.aclose)
            sources[server_id] = source
        for server_id, vodia in servers.vodia.items():
            paged = VodiaSource(server_id, vodia, known=known)
            stack.push_async_callback(paged.aclose)
            sources[server_id] = paged
        yield sources


def fusionpbx_source(
    server_id: str, server: FusionPbxServer
) -> FusionPbxSource | FusionPbxDatabaseSource:
    """The way to a FusionPBX's calls that its entry names."""
    if server.way == "database":
        return FusionPbxDatabaseSource(server_id, server)
    return FusionPbxSource(server_id, server)
