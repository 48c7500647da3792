"""Balance-watch's tables: the only file with its SQL."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any, cast
from uuid import UUID

from balance_watch.watch import Crossing, Watched
from ringfence.postgres.pool import Connection, Pool

_ACCOUNT = ", ".join(each.name for each in fields(Watched))
"""An account's columns, in the order of its fields."""


class Watching:
    """One batch's look at the accounts: read with locks, then write, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def accounts(self, account_ids: Collection[str]) -> dict[str, Watched]:
        """What is known of these accounts, locked in key order; those never met are missing."""
        rows = await self._connection.fetch(
            f"select {_ACCOUNT} from balance_watch.account where account_id = any($1)"  # noqa: S608 - a constant
            " order by account_id for update",
            sorted(account_ids),
        )
        return {row["account_id"]: Watched(*row) for row in rows}

    async def announced(self, causes: Sequence[UUID]) -> list[Crossing]:
        """The crossings that these events brought about when they came the first time."""
        rows = await self._connection.fetch(
            "select * from balance_watch.crossing where cause_id = any($1)", causes
        )
        return [Crossing(**dict(row)) for row in rows]

    async def write(self, accounts: Iterable[Watched], crossings: Iterable[Crossing]) -> None:
        """Keep the accounts as they stand now, and what was announced."""
        rows = [
            (
                a.account_id, a.currency, a.threshold_micro, a.outstanding_micro,
                a.profile_version, a.balance_micro, a.balance_version, a.level,
                a.crossings,
            )
            for a in sorted(accounts, key=lambda a: a.account_id)
        ]  # fmt: skip
        if rows:
            await self._connection.execute(
                _UPSERT, *(list(column) for column in zip(*rows, strict=True))
            )
        await self._connection.executemany(
            "insert into balance_watch.crossing"
            " (cause_id, account_id, topic, value, crossed_at, correlation_id)"
            " values ($1, $2, $3, $4, $5, $6) on conflict (cause_id) do nothing",
            [
                (c.cause_id, c.account_id, c.topic, c.value, c.crossed_at, c.correlation_id)
                for c in crossings
            ],
        )


_UPSERT = """
insert into balance_watch.account
select * from unnest(
    $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::int[], $6::bigint[], $7::bigint[],
    $8::text[], $9::bigint[])
on conflict (account_id) do update set
    currency = excluded.currency, threshold_micro = excluded.threshold_micro,
    outstanding_micro = excluded.outstanding_micro, profile_version = excluded.profile_version,
    balance_micro = excluded.balance_micro, balance_version = excluded.balance_version,
    level = excluded.level, crossings = excluded.crossings
"""


class WatchStore:
    """Everything that balance-watch keeps."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Watching]:
        """A transaction for one batch: all of it or nothing."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield Watching(cast(Any, connection))
