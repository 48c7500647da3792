"""The tables of anti-entropy in the schema of each owner: comparison, missing_copy, look."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from ringfence.anti_entropy.copies import EPOCH, MissingCopy
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import Topic

_STARTS_KEPT = timedelta(days=30)
_TIMEOUT_S = 600.0
"""A full comparison reads a whole table."""


@dataclass(frozen=True)
class ComparisonState:
    """How far a comparison is.

    `compared_until`: what was written up to then was compared. `full_at`: when everything was
    compared last. `reader_looked_at`: the newest instant at which the reader is known to have run.
    """

    compared_until: datetime
    full_at: datetime | None = None
    reader_looked_at: datetime | None = None


class NotedCopy(NamedTuple):
    """What is noted as missing since `seen_at`; published again `attempts` times."""

    key: str
    version: int
    seen_at: datetime
    attempts: int
    next_at: datetime


class ComparisonTransaction:
    """One comparison, while no other replica makes it."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self.connection = connection
        self._schema = schema

    async def state(self, pair: str) -> ComparisonState:
        """The state of a comparison; that of a new one is the beginning of time."""
        row = await self.connection.fetchrow(
            f"insert into {self._schema}.comparison (pair) values ($1)"  # noqa: S608 - a constant of the owner
            " on conflict (pair) do update set pair = excluded.pair"
            " returning compared_until, full_at, reader_looked_at",
            pair,
        )
        assert row is not None
        return ComparisonState(*row)

    async def save_state(self, pair: str, state: ComparisonState) -> None:
        """Save the state of a comparison."""
        await self.connection.execute(
            f"update {self._schema}.comparison set compared_until = $2, full_at = $3,"  # noqa: S608
            " reader_looked_at = $4 where pair = $1",
            pair,
            state.compared_until,
            state.full_at,
            state.reader_looked_at,
        )

    async def with_reader(
        self, state: ComparisonState, reader: str, margin: timedelta
    ) -> tuple[ComparisonState, bool]:
        """The state after a look at when the reader ran last, and whether the reader was restored.

        What was written since then, and in the `margin` before it, is compared again if it was.
        """
        looked_at, restored_to = await self._reader_looks(reader, state.reader_looked_at)
        state = replace(state, reader_looked_at=looked_at or state.reader_looked_at)
        if restored_to is None:
            return state, False
        return replace(state, compared_until=min(state.compared_until, restored_to - margin)), True

    async def _reader_looks(
        self, reader: str, seen: datetime | None
    ) -> tuple[datetime | None, datetime | None]:
        """When the reader looked last, and the look to which it was restored since `seen`, if so.

        It was restored if it started after `seen` and found an older look than that.
        """
        row = await self.connection.fetchrow(
            "select (select looked_at from report.look where service = $1),"
            " (select min(looked_before) from report.look_start"
            "  where service = $1 and started_at > $2 and looked_before < $2)",
            reader,
            seen,
        )
        assert row is not None
        return row[0], row[1]

    async def noted(self, pair: str, limit: int) -> list[NotedCopy]:
        """What is noted as missing, the oldest first."""
        rows = await self.connection.fetch(
            "select key, version, seen_at, attempts, next_at"  # noqa: S608
            f" from {self._schema}.missing_copy where pair = $1 order by seen_at, key limit $2",
            pair,
            limit,
        )
        return [NotedCopy(*row) for row in rows]

    async def note(self, pair: str, copies: Sequence[MissingCopy], now: datetime) -> None:
        """Note copies as missing since `now`, for the first time or in a newer version."""
        await self.connection.execute(
            f"insert into {self._schema}.missing_copy as m (pair, key, version, seen_at, next_at)"  # noqa: S608
            " select distinct on (k) $1, k, v, $4::timestamptz, $4::timestamptz"
            " from unnest($2::text[], $3::bigint[]) as n (k, v) order by k, v desc"
            " on conflict (pair, key) do update set version = excluded.version,"
            " seen_at = excluded.seen_at, attempts = 0, next_at = excluded.next_at"
            " where m.version < excluded.version",
            pair,
            [copy.key for copy in copies],
            [copy.version for copy in copies],
            now,
        )

    async def delete_notes(self, pair: str, keys: Sequence[str]) -> None:
        """Delete what has arrived."""
        await self.connection.execute(
            f"delete from {self._schema}.missing_copy where pair = $1 and key = any($2)",  # noqa: S608
            pair,
            keys,
        )

    async def count_attempt(self, pair: str, rows: Sequence[tuple[str, datetime]]) -> None:
        """Count that these keys were published again; each with the instant of the next attempt."""
        await self.connection.execute(
            f"update {self._schema}.missing_copy m set attempts = attempts + 1, next_at = n.at"  # noqa: S608
            " from unnest($2::text[], $3::timestamptz[]) as n (key, at)"
            " where m.pair = $1 and m.key = n.key",
            pair,
            [key for key, _ in rows],
            [at for _, at in rows],
        )

    async def failing(self, pair: str, attempts: int) -> list[str]:
        """The keys that were published again so often and are still missing."""
        rows = await self.connection.fetch(
            f"select key from {self._schema}.missing_copy"  # noqa: S608
            " where pair = $1 and attempts >= $2 order by seen_at, key limit 1000",
            pair,
            attempts,
        )
        return [row["key"] for row in rows]


class CopyStore:
    """Opens the transactions of comparisons; one replica makes a comparison at a time."""

    def __init__(self, pool: Pool, schema: str) -> None:
        self._pool = pool
        self._schema = schema

    @asynccontextmanager
    async def transaction(self, pair: str) -> AsyncIterator[ComparisonTransaction | None]:
        """A transaction for one comparison; None while another replica has it."""
        async with self._pool.acquire() as connection, connection.transaction():
            ours = await connection.fetchval(
                "select pg_try_advisory_xact_lock(hashtext($1))",
                f"{self._schema}.comparison/{pair}",
            )
            yield ComparisonTransaction(cast(Any, connection), self._schema) if ours else None

    async def begin(self, now: datetime) -> datetime | None:
        """Save that a process of the service starts; when the service looked last, if ever."""
        async with self._pool.acquire() as connection, connection.transaction():
            looked_at: datetime | None = await connection.fetchval(
                f"select looked_at from {self._schema}.look"  # noqa: S608
            )
            await connection.execute(
                f"insert into {self._schema}.look_start values ($1, $2) on conflict do nothing",  # noqa: S608
                now,
                looked_at or EPOCH,
            )
            await connection.execute(
                f"delete from {self._schema}.look_start where started_at < $1",  # noqa: S608
                now - _STARTS_KEPT,
            )
        return looked_at

    async def look(self, now: datetime) -> None:
        """Save that the service runs."""
        await self._pool.execute(
            f"insert into {self._schema}.look as l (looked_at) values ($1)"  # noqa: S608
            " on conflict (one) do update"
            " set looked_at = greatest(l.looked_at, excluded.looked_at)",
            now,
        )


BuildEvents = Callable[[Connection, Sequence[MissingCopy]], Awaitable[Sequence[Outgoing]]]


@dataclass(frozen=True)
class QueryCheck:
    """A CopyCheck whose comparison is one query.

    `query` selects `key`, `version` and `at` of what the reader lacks. Its `{rows}` is replaced by
    the condition on the owner's rows: by `written`, the column with the time at which a row was
    written, or by `keyed`, the condition that the row's key is one of the texts in `$1`.
    """

    schema: str
    topics: tuple[Topic, ...]
    reader: str
    query: str
    keyed: str
    written: str
    build: BuildEvents
    horizon: timedelta | None = None

    async def missing(
        self, connection: Connection, since: datetime, until: datetime, limit: int
    ) -> Sequence[MissingCopy]:
        """What was written in that time and is missing, without what is noted already."""
        found = self.query.format(rows=f"{self.written} > $1 and {self.written} <= $2")
        rows = await connection.fetch(
            f"select m.key, m.version, m.at from ({found}) as m where not exists ("  # noqa: S608 - the owner's query
            f" select from {self.schema}.missing_copy n"
            " where n.pair = $3 and n.key = m.key and n.version >= m.version)"
            " order by m.at, m.key limit $4",
            since,
            until,
            f"{self.topics[0].name}/{self.reader}",
            limit,
            timeout=_TIMEOUT_S,
        )
        return [MissingCopy(*row) for row in rows]

    async def still_missing(
        self, connection: Connection, keys: Sequence[str]
    ) -> Sequence[MissingCopy]:
        """Which of these keys are missing now."""
        found = self.query.format(rows=self.keyed)
        rows = await connection.fetch(found, keys)
        return [MissingCopy(row["key"], row["version"], row["at"]) for row in rows]

    async def events(
        self, connection: Connection, copies: Sequence[MissingCopy]
    ) -> Sequence[Outgoing]:
        """What to publish again."""
        return await self.build(connection, copies)
