"""A broker that has just begun: it answers, and lists neither itself nor any topic."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.protocol.admin import ApiVersionResponse_v0
from aiokafka.protocol.metadata import MetadataResponse_v0, MetadataResponse_v1

_METADATA, _VERSIONS = 3, 18
_ANSWERS = {
    (_VERSIONS, 0): ApiVersionResponse_v0(
        error_code=0, api_versions=[(_METADATA, 0, 1), (_VERSIONS, 0, 0)]
    ),
    (_METADATA, 0): MetadataResponse_v0(brokers=[], topics=[]),
    (_METADATA, 1): MetadataResponse_v1(brokers=[], controller_id=-1, topics=[]),
}


@asynccontextmanager
async def starting_broker() -> AsyncIterator[str]:
    """The address of such a broker."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            size = int.from_bytes(await reader.readexactly(4))
            request = await reader.readexactly(size)
            key, version = int.from_bytes(request[:2]), int.from_bytes(request[2:4])
            body = request[4:8] + _ANSWERS[key, version].encode()
            writer.write(len(body).to_bytes(4) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
