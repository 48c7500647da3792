"""Opens the sources of the servers file: which kind of server is read by which source."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from cdr_ingest.fusionpbx.database import FusionPbxDatabaseSource
from cdr_ingest.fusionpbx.export import FusionPbxSource
from cdr_ingest.sources.source import Source
from cdr_ingest.vodia.source import Known, VodiaSource
from ringfence_pbx.servers import FusionPbxServer, Servers


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
