"""The source of calls that reads the CSV export of a FusionPBX, row by row.

Nothing in an export is escaped, so that a row can be read does not mean that the PBX holds the
call: a tenant can write whole rows into a text. A row is believed if the PBX's own database signed
it (`export_secret`); any other row is yielded as a `UnprovenRow`, to be confirmed.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from cdr_ingest.confirmation.readings import OneCall, read_one_call
from cdr_ingest.fusionpbx.domains import DomainNames
from cdr_ingest.fusionpbx.rows import ExportRows
from cdr_ingest.sources.fields import is_uuid
from cdr_ingest.sources.source import (
    ALL_TENANTS,
    BadRow,
    BLeg,
    ListedRecord,
    UnprovenRow,
)
from ringfence_contracts.errors import BadInput, Retry
from ringfence_contracts.events.call import CallCompleted
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.connection import slots_beside
from ringfence_pbx.fusionpbx.exports.signing import is_signed
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
        beside = asyncio.Semaphore(slots_beside(server))
        feeds = (ALL_TENANTS,) if server.all_tenants else server.tenants
        self._sessions = {
            feed: FusionPbxSession(
                server_id,
                server,
                host=server.host if feed == ALL_TENANTS else feed,
                slots=slots,
                beside=beside,
            )
            for feed in feeds
        }
        secret = server.export_secret
        self._secret = None if secret is None else secret.read().get_secret_value()
        self._domains = {feed: DomainNames(session) for feed, session in self._sessions.items()}

    @property
    def server_id(self) -> str:
        """The server's id in the servers file."""
        return self._server_id

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.aclose()

    async def records(
        self, feed: str, start_epoch: int, stop_epoch: int, least_s: int = 0
    ) -> AsyncGenerator[ListedRecord, None]:
        """The records of the calls that started within the window (see `Source.records`)."""
        session = self._sessions[feed]
        all_tenants = feed == ALL_TENANTS
        rows: ExportRows | None = None
        number, first, held = 0, 0, b""
        export = session.export(start_epoch, stop_epoch, all_tenants=all_tenants, least_s=least_s)
        try:
            async with aclosing(export) as lines:
                async for line in lines:
                    number += 1
                    if rows is None:
                        rows = self._rows(session, line, feed)
                        continue
                    if held and (rows.begins(line) or rows.values(held) is not None):
                        yield await self._record(rows, held, first, feed)
                        held = b""
                    held, first = held + line, first if held else number
        except Retry:
            # Rows before the break are complete; the last one only if it can be read.
            if rows is not None and rows.values(held) is not None:
                yield await self._record(rows, held, first, feed)
            raise
        if rows is not None and held:
            yield await self._record(rows, held, first, feed)

    async def one_call(self, feed: str, uuid: str, *, dialled: str = "") -> OneCall | None:
        """The call with this id (and, if given, this number); None if the PBX finds none."""
        session, all_tenants = self._sessions[feed], feed == ALL_TENANTS
        filters = {"destination_number": dialled} if dialled else None
        body = await session.export_of(uuid, all_tenants=all_tenants, filters=filters)
        tenant = None if all_tenants else feed
        try:
            return read_one_call(body, uuid, server_id=self._server_id, tenant=tenant)
        except BadInput as error:
            raise Refused(f"{session.name}: {error}") from None

    async def _record(self, rows: ExportRows, raw: bytes, number: int, feed: str) -> ListedRecord:
        """The record of a row: believed if it is signed, else to be confirmed."""
        reading = rows.read(raw, number)
        row = rows.values(raw)
        if row is None:
            return UnprovenRow(reading, raw, "", rows.names)
        if not isinstance(reading, BadRow) and await self._is_proven(row, reading, feed):
            return reading
        claimed = row["xml_cdr_uuid"].lower()
        return UnprovenRow(reading, raw, claimed if is_uuid(claimed) else "", rows.names)

    async def _is_proven(
        self, row: Mapping[str, str], reading: CallCompleted | BLeg, feed: str
    ) -> bool:
        """Whether the PBX's database signed the row, and its domain is the one that it names."""
        if self._secret is None or not is_signed(row, self._secret):
            return False
        if feed != ALL_TENANTS:
            return True
        name = await self._domains[feed].name(row["domain_uuid"])
        return name == reading.tenant.lower()

    def _rows(self, session: FusionPbxSession, header: bytes, feed: str) -> ExportRows:
        tenant = None if feed == ALL_TENANTS else feed
        try:
            return ExportRows(header, server_id=self._server_id, tenant=tenant)
        except BadInput as error:
            raise Refused(f"{session.name}: {error}") from None
