"""What cdr-ingest compares with rating: each call is charged, not billed, unrated or dead."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from cdr_ingest.ingest import republished_call
from ringfence.anti_entropy.copies import MissingCopy
from ringfence.anti_entropy.loop import Owner
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.ids import charge_id
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import CALL_COMPLETED, INGEST_ALARM, Topic

ALARMS = Alarms(INGEST_ALARM, schema="cdr_ingest")
_PAIR = f"{CALL_COMPLETED.name}/rating"
_PAGE = 5_000
_MARGIN = timedelta(hours=1)
_ACCEPTED = """
select record_id, accepted_at from cdr_ingest.record
where (accepted_at, record_id) > ($1, $2::uuid) and accepted_at <= $3
    and disposition = 'published'
order by accepted_at, record_id limit $4
"""
_BY_ID = "select record_id, accepted_at from cdr_ingest.record where record_id = any($1)"
# Subqueries instead of `not exists`, which the planner may turn into a join with the whole ledger.
_NOWHERE = """
select k.record_id, k.accepted_at
from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as k (record_id, entry_id, accepted_at)
where (select l.entry_id from report.ledger l where l.entry_id = k.entry_id) is null
    and (select p.call_id from report.call_place p where p.call_id = k.record_id limit 1) is null
"""
_NOTED = """
select key from cdr_ingest.missing_copy where pair = $1 and key = any($2)
"""
_BODIES = """
select record_id, server_id, tenant, value
from cdr_ingest.published_call join cdr_ingest.record using (record_id)
where record_id = any($1) order by published_at
"""


class CallsCheck:
    """The calls of the last `kept`, for which their bytes are kept, against rating's tables.

    A charge is found by the id of its entry, which follows from the id of its call.
    """

    topics: tuple[Topic, ...] = (CALL_COMPLETED,)
    reader = "rating"

    def __init__(self, kept: timedelta) -> None:
        self._kept = kept

    @property
    def horizon(self) -> timedelta | None:
        """What is older cannot be published again."""
        return self._kept

    async def missing(
        self, connection: Connection, since: datetime, until: datetime, limit: int
    ) -> Sequence[MissingCopy]:
        """The calls of that time of which rating knows nothing, page by page."""
        found: list[MissingCopy] = []
        last: tuple[datetime, UUID] = (since, UUID(int=0))
        while len(found) < limit:
            rows = await connection.fetch(_ACCEPTED, *last, until, _PAGE)
            nowhere = await _nowhere(connection, rows)
            found += await _not_noted(connection, nowhere)
            if len(rows) < _PAGE:
                break
            last = (rows[-1]["accepted_at"], rows[-1]["record_id"])
        return found[:limit]

    async def still_missing(
        self, connection: Connection, keys: Sequence[str]
    ) -> Sequence[MissingCopy]:
        """Which of these calls rating still does not have."""
        return await _nowhere(connection, await connection.fetch(_BY_ID, list(map(UUID, keys))))

    async def events(
        self, connection: Connection, copies: Sequence[MissingCopy]
    ) -> Sequence[Outgoing]:
        """The calls as they were published, with the same ids and bytes."""
        rows = await connection.fetch(_BODIES, [UUID(copy.key) for copy in copies])
        return [
            republished_call(row["value"], f"{row['server_id']}:{row['tenant']}") for row in rows
        ]


async def _nowhere(connection: Connection, rows: Sequence["asyncpg.Record"]) -> list[MissingCopy]:
    """Those of the records that rating has nowhere, in the order of their acceptance."""
    if not rows:
        return []
    ids = [row["record_id"] for row in rows]
    found: list[Any] = await connection.fetch(
        _NOWHERE, ids, [charge_id(str(call)) for call in ids], [row["accepted_at"] for row in rows]
    )
    copies = [MissingCopy(str(row["record_id"]), 0, row["accepted_at"]) for row in found]
    return sorted(copies, key=lambda copy: copy.at)


async def _not_noted(connection: Connection, copies: Sequence[MissingCopy]) -> list[MissingCopy]:
    if not copies:
        return []
    rows = await connection.fetch(_NOTED, _PAIR, [copy.key for copy in copies])
    noted = {row["key"] for row in rows}
    return [copy for copy in copies if copy.key not in noted]


class PublishedCallStore:
    """The bytes of the calls that may have to be published again."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def prune(self, before: datetime) -> int:
        """Delete what was published before an instant, at most 20,000 calls; how many.

        The margin is for a comparison that still needs them.
        """
        deleted = await self._pool.execute(
            "delete from cdr_ingest.published_call where record_id in ("
            " select record_id from cdr_ingest.published_call where published_at < $1"
            " order by published_at limit 20000)",
            before - _MARGIN,
        )
        return int(deleted.rsplit(" ", 1)[1])


def owner(kept: timedelta) -> Owner:
    """All that cdr-ingest compares; `kept`: for how long the bytes of calls are kept."""
    return Owner(
        service="cdr-ingest",
        alarms=ALARMS,
        checks=(CallsCheck(kept),),
    )
