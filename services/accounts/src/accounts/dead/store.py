"""Dead records, read from the view `report.dead_letter`, and requests about them."""

from functools import partial
from typing import Any
from uuid import UUID, uuid4

from accounts.paging import by_columns, decode_cursor, page
from accounts.refusals import Clash, Unknown
from accounts.store_rows import count_for
from accounts.typed.instants import read_instant
from accounts.typed.short_ids import find_id
from ringfence.clock import Clock
from ringfence.postgres.pool import Pool

_LISTED = (
    'dead_id, service, consumer, topic, partition, "offset", substring(key from 1 for 200) as key,'
    " reason, value_bytes, dead_at, state, decided_at, decided_by, decided_why"
)
_LISTED_BY = "`ringfence dead list` lists the dead records, each with the first digits of its id"
_CHOSEN = (
    " where ($1::text is null or consumer = $1) and ($2::text is null or topic like $2 || '%')"
    " and ($3::text is null or state = $3)"
)
_SHOWN_BYTES = 20_000


class DeadRecordStore:
    """The dead records of all services."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def listed(
        self,
        consumer: str | None,
        topic: str | None,
        state: str | None,
        cursor: str | None,
        limit: int,
    ) -> dict[str, Any]:
        """Dead records, the newest first. `topic` is its name or the beginning of it."""
        at, dead_id = decode_cursor(cursor, read_instant, UUID)
        rows = await self._pool.fetch(
            f"select {_LISTED} from report.dead_letter{_CHOSEN}"  # noqa: S608 - constants
            " and ($4::timestamptz is null or (dead_at, dead_id) < ($4, $5::uuid))"
            " order by dead_at desc, dead_id desc limit $6",
            consumer,
            topic,
            state,
            at,
            dead_id,
            limit + 1,
        )
        count = await count_for(
            self._pool,
            cursor,
            f"select count(*) from report.dead_letter{_CHOSEN}",  # noqa: S608 - as above
            consumer,
            topic,
            state,
        )
        position = by_columns("dead_at", "dead_id")
        return page([_readable(dict(row)) for row in rows], limit, position, count)

    async def find(self, text: str) -> UUID:
        """The record whose id begins with `text`. Raises Unknown for none, Clash for several."""
        candidates = partial(
            self._pool.fetch,
            "select dead_id from report.dead_letter where dead_id between $1 and $2"
            " order by dead_id limit $3",
        )
        return await find_id("dead_id", text, candidates, _LISTED_BY)

    async def record(self, dead_id: UUID) -> dict[str, Any]:
        """One dead record with its bytes as text, its headers and its traceback. Raises Unknown."""
        row = await self._pool.fetchrow(
            f"select {_LISTED}, traceback, headers, substring(value from 1 for $2) as value"  # noqa: S608
            " from report.dead_letter where dead_id = $1",
            dead_id,
            _SHOWN_BYTES,
        )
        if row is None:
            raise Unknown("dead_id", str(dead_id), _LISTED_BY)
        found = _readable(dict(row))
        found["value"] = _as_text(found["value"])
        found["headers"] = {
            name: _as_text(bytes.fromhex(value)) for name, value in found["headers"]
        }
        return found

    async def request(self, dead_id: UUID, command: str, who: str, reason: str) -> UUID:
        """Request `dead.retry` or `dead.drop` from the service that has the record.

        The service reads the request from a view: no topic is needed for it (ADR 40). Raises
        Unknown, and Clash for a row of a source, and for a record that is dead no more.
        """
        record = await self.record(dead_id)
        if record["service"] == "cdr-ingest":
            expected = "a row of a source became no event: it can be read again at its source alone"
            raise Clash("dead_id", str(dead_id), expected)
        if record["state"] != "dead":
            raise Clash("dead_id", str(dead_id), f"the record was {record['state']} before")
        request_id = uuid4()
        await self._pool.execute(
            "insert into accounts.command (request_id, service, command, arguments, requested_by,"
            " reason, requested_at) values ($1, $2, $3, $4, $5, $6, $7)",
            request_id,
            record["service"],
            command,
            {"dead_id": str(dead_id)},
            who,
            reason,
            self._clock.now(),
        )
        return request_id


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its key as text."""
    return {**row, "key": _as_text(row["key"] or b"")}


def _as_text(raw: bytes) -> str:
    """Bytes as text; what is no UTF-8 is replaced."""
    return raw.decode("utf-8", "replace").replace("\x00", "\ufffd")
