"""The source of calls that reads the CSV export of a FusionPBX, row by row."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from cdr_ingest.fusionpbx.rows import ExportRows
from cdr_ingest.sources.source import ALL_TENANTS, SourceRecord
from ringfence_contracts.errors import BadInput
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.session import FusionPbxSession
from ringfence_pbx.servers import FusionPbxServer


class FusionPbxSource:
    """One FusionPBX. Each feed has its own login, under the host name of its tenant.

    Raises BadInput for a missing or too short api key.

    An export lists ended calls by their start. A call of two hours appears with a start two hours
    ago, so windows must look back by the length of the longest call.
    """

    def __init__(self, server_id: str, server: FusionPbxServer) -> None:
        self._server_id = server_id
        slots = asyncio.Semaphore(server.concurrency)
        feeds = (ALL_TENANTS,) if server.all_tenants else server.tenants
        self._sessions = {
            feed: FusionPbxSession(
                server_id, server, host=server.host if feed == ALL_TENANTS else feed, slots=slots
            )
            for feed in feeds
        }

    @property
    def server_id(self) -> str:
        """The server's id in the servers file."""
        return self._server_id

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.aclose()

    async def records(
        self, feed: str, start_epoch: int, stop_epoch: int
    ) -> AsyncGenerator[SourceRecord, None]:
        """The records of the calls that started within the window (see `Source.records`)."""
        session = self._sessions[feed]
        all_tenants = feed == ALL_TENANTS
        rows: ExportRows | None = None
        number = 0
        export = session.export(start_epoch, stop_epoch, all_tenants=all_tenants)
        async with aclosing(export) as lines:
            async for line in lines:
                number += 1
                if rows is None:
                    rows = self._rows(session, line, None if all_tenants else feed)
                else:
                    yield rows.read(line, number)

    def _rows(self, session: FusionPbxSession, header: bytes, tenant: str | None) -> ExportRows:
        try:
            return ExportRows(header, server_id=self._server_id, tenant=tenant)
        except BadInput as error:
            raise Refused(f"{session.name}: {error}") from None
