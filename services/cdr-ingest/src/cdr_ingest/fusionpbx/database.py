"""The source of calls that reads FusionPBX's own PostgreSQL instead of its export.

It needs a role that may read `v_xml_cdr` and `v_extensions`; docs/servers.md has the grants. Rows
can be selected by the time they were stored (`insert_date`), so long calls need no look-back.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files

import asyncpg
import orjson

from cdr_ingest.confirmation.readings import OneCall
from cdr_ingest.fusionpbx.rows import read_row
from cdr_ingest.sources.source import ALL_TENANTS, BadRow, ListedRecord, UnprovenRow
from ringfence.postgres.pool import Pool
from ringfence_contracts.errors import BadInput, Retry
from ringfence_pbx.errors import Refused
from ringfence_pbx.servers import FusionPbxServer

_ROWS_AT_ONCE = 500
_CALLS = files("cdr_ingest.fusionpbx").joinpath("calls.sql").read_text(encoding="utf-8")
_BY_START = "c.start_epoch between $1::bigint and $2::bigint"
_BY_ARRIVAL = (
    "(c.insert_date >= to_timestamp($1::bigint) and c.insert_date < to_timestamp($2::bigint + 1))"
    " or (c.insert_date is null and c.end_stamp >= to_timestamp($1::bigint)"
    " and c.end_stamp < to_timestamp($2::bigint + 1))"
)
_BY_ID = "c.xml_cdr_uuid = $1::uuid and ($2::text = '' or c.destination_number = $2::text)"
_LEG_COLUMNS = ("originating_leg_uuid", "bridge_uuid", "cc_side", "cc_member_session_uuid")
"""The columns that say of which call a row is a leg. Older versions lack some of them."""

_EXISTING = files("cdr_ingest.fusionpbx").joinpath("leg_columns.sql").read_text(encoding="utf-8")
_REFUSALS: dict[type[asyncpg.PostgresError], str] = {
    asyncpg.InvalidAuthorizationSpecificationError: "check the user and password in `dsn`",
    asyncpg.InvalidCatalogNameError: "check the database's name in `dsn`",
    asyncpg.InsufficientPrivilegeError: "grant the role select on v_xml_cdr and v_extensions",
    asyncpg.UndefinedTableError: "does `dsn` name FusionPBX's database?",
    asyncpg.UndefinedColumnError: "this version's table lacks a column that a bill needs",
}


class FusionPbxDatabaseSource:
    """One FusionPBX, read from its database. It connects at the first query.

    Raises BadInput when the dsn is missing or is not a PostgreSQL URL.
    """

    def __init__(self, server_id: str, server: FusionPbxServer) -> None:
        assert server.dsn is not None, "the servers file requires a dsn with way = database"
        self._server_id = server_id
        self._server = server
        self._dsn = server.dsn.read().get_secret_value()
        if not self._dsn.startswith(("postgresql://", "postgres://")):
            raise BadInput(f"{server_id}: dsn", "(not shown)", "a URL postgresql://user@host/name")
        self._pool: Pool | None = None
        self._legs: str | None = None

    @property
    def server_id(self) -> str:
        """The server's id in the servers file."""
        return self._server_id

    @property
    def by_arrival(self) -> "ByArrival":
        """A source of the same calls whose windows are of the time they were stored."""
        return ByArrival(self)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.close()

    def records(
        self, feed: str, start_epoch: int, stop_epoch: int, least_s: int = 0
    ) -> AsyncGenerator[ListedRecord, None]:
        """The records of the calls that started within the window (see `Source.records`)."""
        return self._rows(_BY_START, feed, start_epoch, stop_epoch)

    def arrived(
        self, feed: str, start_epoch: int, stop_epoch: int
    ) -> AsyncGenerator[ListedRecord, None]:
        """As `records`, for the rows that were stored within the window."""
        return self._rows(_BY_ARRIVAL, feed, start_epoch, stop_epoch)

    async def _rows(
        self, query: str, feed: str, start: int, stop: int
    ) -> AsyncGenerator[ListedRecord, None]:
        tenant = None if feed == ALL_TENANTS else feed
        async with self._reading() as connection:
            number = 0
            calls = await self._query(connection, query)
            async for found in connection.cursor(calls, start, stop, feed, prefetch=_ROWS_AT_ONCE):
                number += 1
                row: dict[str, str] = dict(found)
                if tenant is not None:
                    del row["domain_name"]
                yield self._record(row, tenant, number)

    def _record(self, row: dict[str, str], tenant: str | None, number: int) -> ListedRecord:
        """The record of a row. One that cannot be read waits, and is read again by its id."""
        raw = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
        reading = read_row(row, server_id=self._server_id, tenant=tenant, raw=raw, number=number)
        if not isinstance(reading, BadRow) or row["billsec"] in ("", "0"):
            return reading
        return UnprovenRow(reading, raw, row["xml_cdr_uuid"])

    async def one_call(self, feed: str, uuid: str, *, dialled: str = "") -> OneCall | None:
        """The call with this id (and, if given, this number); None if the table lacks it."""
        tenant = None if feed == ALL_TENANTS else feed
        async with self._reading() as connection:
            found = await connection.fetchrow(
                await self._query(connection, _BY_ID), uuid, dialled, feed
            )
        if found is None:
            return None
        row: dict[str, str] = dict(found)
        if tenant is not None:
            del row["domain_name"]
        raw = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
        billsec = int(row["billsec"]) if row["billsec"].isdecimal() else 0
        record = read_row(row, server_id=self._server_id, tenant=tenant, raw=raw, number=1)
        return OneCall(record, billsec=billsec)

    async def _query(
        self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", which: str
    ) -> str:
        """The query for calls, with those columns of legs that this version has."""
        if self._legs is None:
            rows = await connection.fetch(_EXISTING, list(_LEG_COLUMNS))
            self._legs = _leg_columns({row["attname"] for row in rows})
        return _CALLS.replace("{legs}", self._legs).replace("{which}", which)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        """A read-only connection. Raises Retry, or Refused with advice for the operator."""
        try:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn,
                    min_size=0,
                    max_size=self._server.concurrency,
                    timeout=self._server.timeout_s,
                    command_timeout=self._server.timeout_s,
                    server_settings={
                        "application_name": "ringfence-cdr-ingest",
                        "default_transaction_read_only": "on",
                        "timezone": "UTC",
                        "datestyle": "ISO, YMD",
                    },
                )
            async with self._pool.acquire() as connection:
                yield connection
        except asyncpg.PostgresError as error:
            raise self._classified(error) from None
        except TimeoutError:
            limit = f"{self._server.timeout_s:g} s"
            raise Retry(f"{self._server_id}: its database does not answer in {limit}") from None
        except (OSError, asyncpg.InterfaceError) as error:
            # The text of an InterfaceError may show the DSN, which contains a password.
            kind = type(error).__name__
            raise Retry(f"{self._server_id}: its database cannot be reached ({kind})") from None

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        async with self.connected() as connection, connection.transaction(readonly=True):
            yield connection

    def _classified(self, error: asyncpg.PostgresError) -> Retry | Refused:
        reason = f"{self._server_id}: its database says: {error}"
        for kind, advice in _REFUSALS.items():
            if isinstance(error, kind):
                return Refused(f"{reason}; {advice}")
        return Retry(reason)


def _leg_columns(existing: Collection[str]) -> str:
    selected = (
        f"coalesce(c.{name}::text, '') as {name}" if name in existing else f"'' as {name}"
        for name in _LEG_COLUMNS
    )
    return ",\n    ".join(selected)


@dataclass(frozen=True)
class ByArrival:
    """A `Source` whose windows are of the time when rows were stored."""

    source: FusionPbxDatabaseSource

    @property
    def server_id(self) -> str:
        """The server's id in the servers file."""
        return self.source.server_id

    def records(
        self, feed: str, start_epoch: int, stop_epoch: int, least_s: int = 0
    ) -> AsyncGenerator[ListedRecord, None]:
        """The records whose rows were stored within the window."""
        return self.source.arrived(feed, start_epoch, stop_epoch)
