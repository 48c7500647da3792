"""Where calls come from: one module per kind of server, all giving the same records."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from cdr_ingest.sources.fusionpbx import FusionPbxSource
from cdr_ingest.sources.source import (
    ALL_TENANTS,
    BadRow,
    BLeg,
    Source,
    SourceRecord,
    record_id,
)
from ringfence.pbx.fusionpbx import Refused
from ringfence.pbx.servers import Servers

__all__ = [
    "ALL_TENANTS",
    "BLeg",
    "BadRow",
    "Refused",
    "Source",
    "SourceRecord",
    "open_sources",
    "record_id",
]


@asynccontextmanager
async def open_sources(servers: Servers) -> AsyncIterator[Mapping[str, Source]]:
    """The servers that can be asked for calls, by id; their connections close with the context."""
    async with AsyncExitStack() as stack:
        sources: dict[str, Source] = {}
        for server_id, server in servers.fusionpbx.items():
            source = FusionPbxSource(server_id, server)
            stack.push_async_callback(source.aclose)
            sources[server_id] = source
        yield sources
