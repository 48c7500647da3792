"""FusionPBX: the calls that its CSV export lists, row by row."""

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
    """One FusionPBX. Each lane keeps its own login, under the host name of its tenant.

    Raises BadInput when there is no api key, or none that can work.

    An export holds the calls that have ended, by their start: a call appears with a start as long
    ago as it took, so windows must look back at least that far.
    """

    def __init__(self, server_id: str, server: FusionPbxServer) -> None:
        self._server_id = server_id
        slots = asyncio.Semaphore(server.concurrency)
        lanes = (ALL_TENANTS,) if server.all_tenants else server.tenants
        self._sessions = {
            lane: FusionPbxSession(
                server_id, server, host=server.host if lane == ALL_TENANTS else lane, slots=slots
            )
            for lane in lanes
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
        self, lane: str, start_epoch: int, stop_epoch: int
    ) -> AsyncGenerator[SourceRecord, None]:
        """The records of the calls that started within the window (see `Source.records`)."""
        session = self._sessions[lane]
        everything = lane == ALL_TENANTS
        rows: ExportRows | None = None
        number = 0
        export = session.export(start_epoch, stop_epoch, all_tenants=everything)
        async with aclosing(export) as lines:
            async for line in lines:
                number += 1
                if rows is None:
                    rows = self._rows(session, line, None if everything else lane)
                else:
                    yield rows.read(line, number)

    def _rows(self, session: FusionPbxSession, header: bytes, tenant: str | None) -> ExportRows:
        try:
            return ExportRows(header, server_id=self._server_id, tenant=tenant)
        except BadInput as error:
            raise Refused(f"{session.name}: {error}") from None
