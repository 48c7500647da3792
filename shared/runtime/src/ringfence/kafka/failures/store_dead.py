"""The dead records of one consumer in its service's schema, and the requests about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from ringfence.postgres.pool import Pool
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Received, Rejected

KEPT_BYTES = 256 * 1024
"""The part of a record that is kept; the whole one is in its topic, at its offset."""

_MAX_TEXT = 8000
_AT_ONCE = 20
_REQUESTS = """
select q.request_id, q.command, q.arguments, q.requested_by, q.reason, q.requested_at, d.dead_id
from report.dead_request q
join {schema}.dead_record d on d.dead_id::text = q.arguments ->> 'dead_id'
where q.service = $1 and d.consumer = $2 and not exists (
    select from {schema}.dead_answer a where a.request_id = q.request_id
)
order by q.requested_at limit $3
"""
_COLUMNS = 'topic, partition, "offset", key, value, headers, value_bytes, state'


class DeadRequest(NamedTuple):
    """What an operator asked for about a dead record of this consumer."""

    request_id: UUID
    command: str
    arguments: dict[str, str]
    requested_by: str
    reason: str
    requested_at: datetime
    dead_id: UUID


class DeadRecord(NamedTuple):
    """A dead record as it was received; `is_whole`: all of its bytes are kept."""

    received: Received
    is_whole: bool
    state: str


class DeadStore:
    """The tables `dead_record` and `dead_answer` for the records of one consumer."""

    def __init__(self, pool: Pool, schema: str, *, consumer: str) -> None:
        self._pool = pool
        self._schema = schema
        self._service = "balance-watch" if schema == "balance_watch" else schema
        self._consumer = consumer

    async def save(self, rejected: Sequence[Rejected], now: datetime) -> None:
        """Keep rejected records; one that was kept before gets the new reason."""
        await self._pool.executemany(
            f"insert into {self._schema}.dead_record as d (dead_id, consumer, topic, partition,"  # noqa: S608
            ' "offset", reason, traceback, key, value, headers, value_bytes, dead_at)'
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
            " on conflict (dead_id) do update set reason = excluded.reason,"
            " traceback = excluded.traceback, state = 'dead'",
            [self._row(dead, now) for dead in rejected],
        )

    def _row(self, dead: Rejected, now: datetime) -> tuple[Any, ...]:
        r = dead.received
        headers = [(_clean(name), (value or b"").hex()) for name, value in r.headers][:100]
        dead_id = derive("dead-record", self._consumer, r.topic, r.partition, r.offset)
        return (
            dead_id, self._consumer, r.topic, r.partition, r.offset, _clean(dead.reason),
            _clean(dead.traceback), r.key and r.key[:_MAX_TEXT], r.value[:KEPT_BYTES], headers,
            len(r.value), now,
        )  # fmt: skip

    async def requests(self) -> list[DeadRequest]:
        """The oldest requests that are not answered, about records of this consumer."""
        rows = await self._pool.fetch(
            _REQUESTS.format(schema=self._schema), self._service, self._consumer, _AT_ONCE
        )
        return [DeadRequest(*row) for row in rows]

    async def record(self, dead_id: UUID) -> DeadRecord | None:
        """A dead record of this consumer."""
        row = await self._pool.fetchrow(
            f"select {_COLUMNS} from {self._schema}.dead_record"  # noqa: S608
            " where dead_id = $1 and consumer = $2",
            dead_id,
            self._consumer,
        )
        if row is None:
            return None
        headers = tuple((name, bytes.fromhex(value)) for name, value in row["headers"])
        received = Received(
            row["topic"], row["partition"], row["offset"], row["key"], row["value"], headers
        )
        return DeadRecord(received, row["value_bytes"] == len(row["value"]), row["state"])

    async def answer(
        self, request: DeadRequest, state: str, words: str, decision: str | None, now: datetime
    ) -> None:
        """Answer a request, once; `decision` is the record's new state, None: as before."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                f"insert into {self._schema}.dead_answer (request_id, command, arguments,"  # noqa: S608
                " requested_by, reason, requested_at, state, answer, answered_at)"
                " values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
                *request[:6],
                state,
                _clean(words),
                now,
            )
            if decision is not None:
                await connection.execute(
                    f"update {self._schema}.dead_record set state = $2, decided_at = $3,"  # noqa: S608
                    " decided_by = $4, decided_why = $5 where dead_id = $1",
                    request.dead_id,
                    decision,
                    now,
                    request.requested_by,
                    request.reason,
                )

    async def prune(self, before: datetime) -> None:
        """Delete records that died before an instant, and as old answers."""
        for table, column in (("dead_record", "dead_at"), ("dead_answer", "answered_at")):
            await self._pool.execute(
                f"delete from {self._schema}.{table} where {column} < $1",  # noqa: S608
                before,
            )


def _clean(text: str) -> str:
    return text.replace("\x00", "\ufffd")[:_MAX_TEXT]
