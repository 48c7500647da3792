"""Balance-watch's tables: the only file with its SQL."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from operator import attrgetter
from typing import Any, NamedTuple, cast
from uuid import UUID

from balance_watch.watch import Crossing, FundsPair, WatchedAccount
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import Connection, Pool
from ringfence.postgres.pruning import PruneRule
from ringfence_contracts.topics import WATCH_ALARM

ALARMS = Alarms(WATCH_ALARM, schema="balance_watch")

PRUNED = (
    PruneRule(
        "balance_watch.crossing",
        "crossed_at",
        "exists (select from balance_watch.crossing newer where newer.account_id = t.account_id"
        " and newer.crossed_at > t.crossed_at and newer.topic <> 'balance.low.v1')",
    ),
)
"""What this service deletes after the horizon (docs/retention.md). An account's newest
crossing, and its newest one that switches, are kept: they are published again."""

_ACCOUNT = [each.name for each in fields(WatchedAccount)]
"""An account's columns: the fields of a WatchedAccount, in order."""

_PAIR_TYPES = (
    "text", "bigint", "text", "boolean", "boolean", "bigint", "bigint", "bigint", "bigint",
    "bigint", "bigint", "bigint", "uuid",
)  # fmt: skip
_ACCOUNT_TYPES = (
    "text", "text", "bigint", "bigint", "int", "bigint", "bigint", "text", "bigint", "boolean",
    "bigint", "boolean", "bigint", "bigint", "bigint", "bigint", "text", "text", "boolean",
    "bigint",
)  # fmt: skip
_account_row = attrgetter(*_ACCOUNT)


def _unnested(types: Sequence[str]) -> str:
    """Rows from one array for each column."""
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types, 1))


_SELECT = f"""
select {", ".join(_ACCOUNT)} from balance_watch.account where account_id = any($1)
order by account_id for update
"""  # noqa: S608 - names of columns from this program
_UPSERT = f"""
insert into balance_watch.account ({", ".join(_ACCOUNT)})
select * from unnest({_unnested(_ACCOUNT_TYPES)})
on conflict (account_id) do update set
    {", ".join(f"{name} = excluded.{name}" for name in _ACCOUNT[1:])}, updated_at = now()
"""  # noqa: S608 - names of columns from this program
_RECORD_PAIRS = f"""
insert into balance_watch.funds_pair ({", ".join(FundsPair._fields)})
select * from unnest({_unnested(_PAIR_TYPES)})
"""  # noqa: S608 - names of columns from this program


class ClientCount(NamedTuple):
    """The number of clients at a level in a mode, and of those to whom a funds hold applies."""

    level: str
    mode: str
    clients: int
    held: int


class WatchTransaction:
    """The transaction of one batch: reads accounts with locks, then writes them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def accounts(self, account_ids: Collection[str]) -> dict[str, WatchedAccount]:
        """These accounts by id, locked in the order of their ids; unknown ones are missing."""
        rows = await self._connection.fetch(_SELECT, sorted(account_ids))
        return {row["account_id"]: WatchedAccount(*row) for row in rows}

    async def published(self, causes: Sequence[UUID]) -> list[Crossing]:
        """The crossings that these events caused when they were first applied."""
        rows = await self._connection.fetch(
            "select * from balance_watch.crossing where cause_id = any($1)", causes
        )
        return [Crossing(**dict(row)) for row in rows]

    async def write(
        self,
        accounts: Iterable[WatchedAccount],
        crossings: Collection[Crossing],
        pairs: Collection[FundsPair],
    ) -> None:
        """Save the accounts, the crossings as they are published, and the pairs."""
        await self._write_columns(
            _UPSERT, [_account_row(a) for a in sorted(accounts, key=lambda a: a.account_id)]
        )
        await self._write_columns(_RECORD_PAIRS, pairs)
        if crossings:
            await self._connection.executemany(
                "insert into balance_watch.crossing"
                " (cause_id, account_id, topic, value, crossed_at, correlation_id)"
                " values ($1, $2, $3, $4, $5, $6) on conflict (cause_id) do nothing",
                [
                    (c.cause_id, c.account_id, c.topic, c.value, c.crossed_at, c.correlation_id)
                    for c in crossings
                ],
            )

    async def _write_columns(self, statement: str, rows: Collection[tuple[Any, ...]]) -> None:
        """Write all rows with one statement, which gets one array for each column."""
        if rows:
            columns = (list(column) for column in zip(*rows, strict=True))
            await self._connection.execute(statement, *columns)


class WatchStore:
    """Balance-watch's tables."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[WatchTransaction]:
        """One transaction for one batch."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield WatchTransaction(cast(Any, connection))

    async def clients(self) -> list[ClientCount]:
        """All clients, counted by level (`unknown` before the first balance) and mode."""
        rows = await self._pool.fetch(
            "select coalesce(level, 'unknown'), mode, count(*), count(*) filter (where held)"
            " from balance_watch.account group by level, mode"
        )
        return [ClientCount(*row) for row in rows]
